// The templates as cards: what comes out of it (or a small drawing of the graph), a name and what it is for; with search.

import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { isArray, isObject, parseJson } from "../../model/json";
import { rank } from "../../commands/rank";
import { useUi } from "../../state/editor";
import { useEditor } from "../shell/editor";
import { pictureOf, readTemplate, TEMPLATES } from "./templates";
import "./templates.css";

export function TemplatesPage(): React.JSX.Element {
  const { t } = useTranslation();
  const { services } = useEditor();
  const show = useUi((state) => state.show);
  const [query, setQuery] = useState("");
  const title = (name: string): string => t(`templates.${name}`, { defaultValue: name });
  const found = rank(query, TEMPLATES, (name) => ({ name: title(name), also: [name, t(`templates.${name}.about`, { defaultValue: "" })] }));
  return (
    <>
    <input
      className="text-field"
      type="search"
      value={query}
      placeholder={t("templates.search")}
      aria-label={t("templates.search")}
      onChange={(event) => setQuery(event.target.value)}
    />
    <ul className="templates">
      {found.map((name) => (
        <li key={name}>
          <button
            type="button"
            className="template"
            onClick={() => {
              show(undefined);
              void services.files.openTemplate(name);
            }}
          >
            {pictureOf(name) === undefined ? <Sketch name={name} /> : <img src={pictureOf(name)} alt="" loading="lazy" width={320} height={160} />}
            <strong>{title(name)}</strong>
            <small>{t(`templates.${name}.about`, { defaultValue: "" })}</small>
          </button>
        </li>
      ))}
    </ul>
    </>
  );
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The graph from afar: boxes where its nodes are. */
function Sketch({ name }: { readonly name: string }): React.JSX.Element {
  const [boxes, setBoxes] = useState<readonly Box[]>([]);
  useEffect(() => {
    let gone = false;
    const read = async (): Promise<void> => {
      const found = boxesOf(await readTemplate(name));
      if (!gone) setBoxes(found);
    };
    read().catch(() => undefined); // then the card has no drawing
    return () => {
      gone = true;
    };
  }, [name]);
  const left = Math.min(...boxes.map((box) => box.x), 0);
  const top = Math.min(...boxes.map((box) => box.y), 0);
  const width = Math.max(...boxes.map((box) => box.x + box.width), 1) - left;
  const height = Math.max(...boxes.map((box) => box.y + box.height), 1) - top;
  return (
    <svg className="sketch" viewBox={`${left - 40} ${top - 40} ${width + 80} ${height + 80}`} aria-hidden>
      {boxes.map((box) => (
        <rect key={`${box.x} ${box.y}`} {...box} rx={16} />
      ))}
    </svg>
  );
}

function boxesOf(text: string): Box[] {
  const data = parseJson(text);
  const nodes = isObject(data) && isArray(data["nodes"]) ? data["nodes"] : [];
  return nodes.filter(isObject).map((node) => {
    const [x, y] = isArray(node["pos"]) ? node["pos"].map(Number) : [];
    const [width, height] = isArray(node["size"]) ? node["size"].map(Number) : [];
    return { x: x ?? 0, y: y ?? 0, width: width ?? 200, height: height ?? 100 };
  });
}
