// A picture: its name, a small view of it, and ways to bring another: pick, upload, paste, drop, paint a mask.

import { Brush, ImageOff, Images, Upload } from "lucide-react";
import { lazy, Suspense, useRef, useState } from "react";
import type { ChoiceWidget } from "../model/types";
import { t } from "../i18n";
import { ChoiceField } from "./choice-field";
import { optionText } from "./choice-tree";
import type { FieldProps } from "./field";
import { Float } from "./floating";
import { PicturePicker } from "./picture-picker";
import { thumbnailUrl } from "./pictures";
import { chooseFile, useUploading } from "./use-upload";

const MaskEditor = lazy(() => import("./mask/mask-editor"));

export function ImageField(props: FieldProps<ChoiceWidget>): React.JSX.Element {
  const { value, set, label } = props;
  const name = optionText(value);
  const { isBusy, isOver, fault, take, target } = useUploading(props, (file) => file.type.startsWith("image/"));
  const [isPicking, setPicking] = useState(false);
  const [isPainting, setPainting] = useState(false);
  const picture = useRef<HTMLDivElement>(null);
  const actions = [
    { key: "pick", Icon: Images, run: () => setPicking(true) },
    { key: "upload", Icon: Upload, run: () => chooseFile("image/*", (files) => void take(files)) },
    { key: "mask", Icon: Brush, run: () => setPainting(true) },
  ] as const;
  return (
    <div className="w-image" {...target}>
      <ChoiceField {...props} mayBeUnlisted>
        {actions.map(({ key, Icon, run }) => (
          <button
            key={key}
            type="button"
            className="w-icon nodrag"
            aria-label={t(`widgets.image.${key}`, { name: label })}
            title={t(`widgets.image.${key}`, { name: label })}
            disabled={(key === "mask" && name === "") || isBusy}
            onClick={run}
          >
            <Icon size={12} aria-hidden />
          </button>
        ))}
      </ChoiceField>
      <div
        ref={picture}
        className={`w-picture nodrag${isOver ? " is-over" : ""}${isBusy ? " is-busy" : ""}`}
        tabIndex={0}
        role="group"
        aria-label={t("widgets.image.drop", { name: label })}
        onDoubleClick={(event) => {
          event.stopPropagation();
          if (name !== "") setPainting(true);
        }}
      >
        {name === "" ? <p className="w-nothing">{t("widgets.image.none")}</p> : <Thumbnail key={name} name={name} />}
        {isOver && <p className="w-over">{t("widgets.image.release")}</p>}
      </div>
      {fault !== undefined && <p className="w-fault" role="alert">{fault}</p>}
      {isPicking && (
        <Float anchor={picture} label={t("widgets.image.pick", { name: label })} close={() => setPicking(false)} className="w-pictures">
          <PicturePicker
            options={props.widget.options.map(optionText)}
            chosen={name}
            pick={(picked) => {
              setPicking(false);
              if (picked !== name) set(picked);
            }}
          />
        </Float>
      )}
      {isPainting && (
        <Suspense fallback={null}>
          <MaskEditor value={name} saved={set} close={() => setPainting(false)} />
        </Suspense>
      )}
    </div>
  );
}

/** The picture, edge to edge; the size is told once it is known. */
function Thumbnail({ name }: { readonly name: string }): React.JSX.Element {
  const [size, setSize] = useState<string>();
  const [isMissing, setMissing] = useState(false);
  if (isMissing) {
    return (
      <p className="w-nothing is-missing">
        <ImageOff size={16} aria-hidden />
        {t("widgets.image.missing", { name })}
      </p>
    );
  }
  return (
    <>
      <img
        src={thumbnailUrl(name)}
        alt={name}
        draggable={false}
        decoding="async"
        onError={() => setMissing(true)}
        onLoad={(event) => setSize(`${String(event.currentTarget.naturalWidth)} × ${String(event.currentTarget.naturalHeight)}`)}
      />
      {size !== undefined && <span className="w-size">{size}</span>}
    </>
  );
}
