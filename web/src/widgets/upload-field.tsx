// A choice of sounds, videos or other files that takes new ones.

import { Upload } from "lucide-react";
import type { ChoiceWidget } from "../model/types";
import { t } from "../i18n";
import { ChoiceField } from "./choice-field";
import type { FieldProps } from "./field";
import { chooseFile, useUploading } from "./use-upload";

export function UploadField(props: FieldProps<ChoiceWidget>): React.JSX.Element {
  const kind = props.widget.upload;
  const isAny = kind === undefined || kind === "file";
  const { isBusy, isOver, fault, take, target } = useUploading(props, (file) => isAny || file.type.startsWith(`${kind}/`));
  const label = t("widgets.upload.button", { name: props.label });
  return (
    <div className={`w-upload${isOver ? " is-over" : ""}`} {...target}>
      <ChoiceField {...props} mayBeUnlisted>
        <button
          type="button"
          className="w-icon nodrag"
          aria-label={label}
          title={label}
          disabled={isBusy}
          onClick={() => chooseFile(isAny ? "" : `${kind}/*`, (files) => void take(files))}
        >
          <Upload size={12} aria-hidden />
        </button>
      </ChoiceField>
      {fault !== undefined && <p className="w-fault" role="alert">{fault}</p>}
    </div>
  );
}
