// Pictures to pick from: the inputs and the outputs of the server, in a grid of which only what is in sight is mounted.

import { useVirtualizer } from "@tanstack/react-virtual";
import { Search } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { t } from "../i18n";
import { isPicture, listFiles, thumbnailUrl, writeName, type Folder } from "./pictures";

const COLUMNS = 4;
const CELL = 92;

interface PicturePickerProps {
  /** The names that the node's type knows in the input folder. */
  readonly options: readonly string[];
  readonly chosen: string;
  readonly pick: (name: string) => void;
}

export function PicturePicker({ options, chosen, pick }: PicturePickerProps): React.JSX.Element {
  const [folder, setFolder] = useState<Folder>("input");
  const [query, setQuery] = useState("");
  const [listed, setListed] = useState<Readonly<Partial<Record<Folder, readonly string[]>>>>({});
  const [fault, setFault] = useState<string>();
  useEffect(() => {
    let isWanted = true;
    listFiles(folder).then(
      (names) => isWanted && setListed((before) => ({ ...before, [folder]: names })),
      (error: unknown) => isWanted && setFault(error instanceof Error ? error.message : String(error)),
    );
    return () => {
      isWanted = false;
    };
  }, [folder]);
  const names = useMemo(() => {
    const here = (listed[folder] ?? []).filter(isPicture).map((filename) => writeName({ filename, subfolder: "", type: folder }));
    const all = folder === "input" ? [...new Set([...here, ...options])] : here;
    return all.filter((name) => name.toLowerCase().includes(query.trim().toLowerCase()));
  }, [listed, folder, options, query]);
  return (
    <>
      <div className="w-folders" role="tablist">
        {(["input", "output"] as const).map((each) => (
          <button key={each} type="button" role="tab" aria-selected={each === folder} onClick={() => setFolder(each)}>
            {t(`widgets.pictures.${each}`)}
          </button>
        ))}
        <label className="w-search">
          <Search size={13} aria-hidden />
          <input
            autoFocus
            aria-label={t("widgets.pictures.search")}
            placeholder={t("widgets.pictures.searchHint", { count: names.length })}
            value={query}
            spellCheck={false}
            onChange={(event) => setQuery(event.target.value)}
          />
        </label>
      </div>
      {fault !== undefined && <p className="w-fault">{t("widgets.pictures.failed", { reason: fault })}</p>}
      <PictureGrid key={folder} names={names} chosen={chosen} pick={pick} />
    </>
  );
}

function PictureGrid({ names, chosen, pick }: Omit<PicturePickerProps, "options"> & { readonly names: readonly string[] }): React.JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library -- no compiler memoises here
  const virtual = useVirtualizer({
    count: Math.ceil(names.length / COLUMNS),
    getScrollElement: () => scroller.current,
    estimateSize: () => CELL,
    overscan: 2,
    initialRect: { width: CELL * COLUMNS, height: CELL * 4 },
  });
  if (names.length === 0) return <p className="w-nothing">{t("widgets.choice.nothing")}</p>;
  return (
    <div ref={scroller} className="w-grid">
      <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map((line) => (
          <div key={line.key} className="w-grid-row" style={{ transform: `translateY(${String(line.start)}px)` }}>
            {names.slice(line.index * COLUMNS, (line.index + 1) * COLUMNS).map((name) => (
              <button
                key={name}
                type="button"
                className={`w-cell${name === chosen ? " is-chosen" : ""}`}
                aria-pressed={name === chosen}
                title={name}
                onClick={() => pick(name)}
              >
                <img src={thumbnailUrl(name)} alt="" loading="lazy" decoding="async" draggable={false} />
                <span>{name.replace(/ \[\w+\]$/, "").split("/").at(-1)}</span>
              </button>
            ))}
          </div>
        ))}
      </div>
    </div>
  );
}
