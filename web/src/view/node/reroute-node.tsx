// A point that links are led through.

import type { NodeProps } from "@xyflow/react";
import { memo, type CSSProperties } from "react";
import { removeReroutes, wayOf } from "../../model/edit/reroutes";
import { all } from "../../model/changes";
import { ROOT, type RerouteId } from "../../model/ids";
import { useDocument } from "../../state/context";
import { t } from "../../i18n";
import { useController } from "../controller-context";
import { useFar } from "../context";
import { typeColor } from "../look";
import { named } from "../names";

export const RerouteView = memo(function RerouteView({ id }: NodeProps): React.JSX.Element {
  const controller = useController();
  const own = named(id).id as RerouteId;
  const isFar = useFar();
  const type = useDocument((state) => {
    const level = state.document.levels.get(state.path.at(-1) ?? ROOT);
    if (level === undefined) return "*";
    for (const link of level.links.values()) if (link.via !== undefined && wayOf(level, link).some((each) => each.id === own)) return link.type;
    return "*";
  });
  const remove = (): void => {
    const changes = removeReroutes(controller.shown().level, new Set([own]));
    if (changes.length > 0) controller.edit(all(...changes), "reroute");
  };
  return (
    <div
      className={`n-point ${isFar ? "is-far" : ""}`}
      style={{ "--type": typeColor(type) } as CSSProperties}
      title={t("view.reroute.hint")}
      onDoubleClick={(event) => {
        event.stopPropagation();
        remove();
      }}
    />
  );
}, (before, after) => before.id === after.id);
