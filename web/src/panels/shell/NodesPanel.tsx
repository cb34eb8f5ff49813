// Every node type by category, with the same search as on the canvas; a press puts it into the graph.

import { Trash2 } from "lucide-react";
import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import { search } from "../../model/edit/search";
import type { NodeType } from "../../model/types";
import { useWorkspace } from "../../state/context";
import type { Tab } from "../../state/workspace";
import { messageOf, notify } from "../../commands/notify";
import { useUi } from "../../state/editor";
import { useLoaded } from "../files/useLoaded";
import { addAtFree } from "./addNode";
import { useEditor } from "./editor";

export function NodesPanel({ tab }: { readonly tab: Tab | undefined }): React.JSX.Element {
  const { t } = useTranslation();
  const { services, ui } = useEditor();
  const types = useWorkspace((state) => state.types);
  const [query, setQuery] = useState("");
  const found = query.trim() === "" ? undefined : search(types.values(), query).map(({ type }) => type);
  const add = (type: NodeType): void => {
    if (tab === undefined) return;
    addAtFree(tab, type, types);
    if (window.innerWidth < 640) ui.getState().show(undefined);
    requestAnimationFrame(() => services.view.fitSelection());
  };
  return (
    <div className="nodes-panel">
      <input
        className="text-field"
        type="search"
        value={query}
        placeholder={t("nodes.search")}
        aria-label={t("nodes.search")}
        onChange={(event) => setQuery(event.target.value)}
      />
      {query === "" && tab !== undefined && <Blueprints tab={tab} />}
      {types.size === 0 && <p className="hint">{t("nodes.none")}</p>}
      {found?.length === 0 && <p className="hint">{t("palette.nothing", { query })}</p>}
      {found !== undefined ? <TypeList types={found} onAdd={add} /> : <Categories types={[...types.values()]} onAdd={add} />}
      <p className="hint">{t("nodes.hint")}</p>
    </div>
  );
}

/** Subgraphs that were published; a press puts one into the graph. */
function Blueprints({ tab }: { readonly tab: Tab }): React.JSX.Element | null {
  const { t } = useTranslation();
  const { services } = useEditor();
  const asked = useUi((state) => state.page === "blueprints");
  const load = useCallback(() => services.blueprints.list(), [services]);
  const { data, again } = useLoaded(load);
  const act = (work: Promise<void>): void => {
    work.then(again, (error: unknown) => notify(messageOf(error), { tone: "error" }));
  };
  if (!asked && (data?.length ?? 0) === 0) return null;
  return (
    <details className="category" open={asked || undefined}>
      <summary>
        {t("blueprint.title")} <small>{data?.length}</small>
      </summary>
      {data?.length === 0 && <p className="hint">{t("blueprint.none")}</p>}
      <ul className="type-list">
        {data?.map((name) => (
          <li key={name}>
            <button type="button" onClick={() => act(services.blueprints.insert(tab, name))}>
              {name}
            </button>
            <button type="button" className="icon-button quiet" aria-label={t("blueprint.remove", { name })} onClick={() => act(services.blueprints.remove(name))}>
              <Trash2 size={14} aria-hidden />
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}

interface ListProps {
  readonly types: readonly NodeType[];
  readonly onAdd: (type: NodeType) => void;
}

function Categories({ types, onAdd }: ListProps): React.JSX.Element {
  const { t } = useTranslation();
  const groups = new Map<string, NodeType[]>();
  for (const type of types) {
    const name = type.category || t("nodes.other");
    groups.set(name, [...(groups.get(name) ?? []), type]);
  }
  const names = [...groups.keys()].sort((left, right) => left.localeCompare(right));
  return (
    <>
      {names.map((name) => (
        <details key={name} className="category">
          <summary>
            {name.replaceAll("/", " / ")} <small>{groups.get(name)?.length}</small>
          </summary>
          <TypeList types={groups.get(name) ?? []} onAdd={onAdd} />
        </details>
      ))}
    </>
  );
}

function TypeList({ types, onAdd }: ListProps): React.JSX.Element {
  return (
    <ul className="type-list">
      {types.map((type) => (
        <li key={type.name}>
          <button
            type="button"
            draggable
            title={type.description}
            onDragStart={(event) => event.dataTransfer.setData("application/x-easel-node", type.name)}
            onClick={() => onAdd(type)}
          >
            {type.title}
            {type.title !== type.name && <small>{type.name}</small>}
          </button>
        </li>
      ))}
    </ul>
  );
}
