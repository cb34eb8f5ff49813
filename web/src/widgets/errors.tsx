// What is wrong with an input, under its field: the sentence, then what stands there and what may.

import type { Json } from "../model/json";
import { shown } from "../model/numbers";
import type { Widget } from "../model/types";
import type { NodeError } from "../state/runs";
import { t } from "../i18n";
import { optionText } from "./choice-tree";
import { short } from "./links";

const MAX_OPTIONS = 8;

/** What the widget takes, in words; undefined where anything will do. */
export function allowed(widget: Widget): string | undefined {
  switch (widget.kind) {
    case "int":
    case "float": {
      const [low, high] = [Number.isFinite(Number(widget.min)), Number.isFinite(Number(widget.max))];
      if (!low && !high) return undefined;
      const [min, max] = [shown(widget.min, widget), shown(widget.max, widget)];
      if (!high) return t("widgets.error.atLeast", { min });
      return low ? t("widgets.error.between", { min, max }) : t("widgets.error.atMost", { max });
    }
    case "choice": {
      const listed = widget.options.slice(0, MAX_OPTIONS).map(optionText).join(", ");
      const more = widget.options.length - MAX_OPTIONS;
      return more > 0 ? t("widgets.error.andMore", { listed, count: more }) : listed;
    }
    case "switch":
      return t("widgets.error.switch");
    default:
      return undefined;
  }
}

interface FieldErrorsProps {
  readonly id: string;
  readonly errors: readonly NodeError[];
  readonly value: Json;
  readonly widget: Widget;
  readonly isLinked: boolean;
}

export function FieldErrors({ id, errors, value, widget, isLinked }: FieldErrorsProps): React.JSX.Element {
  const range = isLinked ? undefined : allowed(widget);
  return (
    <div id={id} className="w-errors" role="note">
      {errors.map((error) => (
        <p key={error.message + (error.details ?? "")}>
          {error.message}
          {error.details !== undefined && error.details !== "" && <span className="w-detail"> {error.details}</span>}
        </p>
      ))}
      {range !== undefined && (
        <p className="w-detail">
          {t("widgets.error.value", { value: short(value) })} · {t("widgets.error.allowed", { range })}
        </p>
      )}
    </div>
  );
}
