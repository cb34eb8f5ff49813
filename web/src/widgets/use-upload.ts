// Uploading into a widget: what is under way, what went wrong, and the handlers for dropping and pasting.

import { useContext, useState, type ClipboardEvent, type DragEvent } from "react";
import type { ChoiceWidget } from "../model/types";
import { t } from "../i18n";
import type { FieldProps } from "./field";
import { filesIn, named, UploadContext } from "./upload";

export interface Uploading {
  readonly isBusy: boolean;
  readonly fault: string | undefined;
  readonly isOver: boolean;
  readonly take: (files: readonly File[]) => Promise<void>;
  readonly target: {
    readonly onDragOver: (event: DragEvent) => void;
    readonly onDragLeave: () => void;
    readonly onDrop: (event: DragEvent) => void;
    readonly onPaste: (event: ClipboardEvent) => void;
  };
}

export function useUploading({ set }: FieldProps<ChoiceWidget>, accepts: (file: File) => boolean): Uploading {
  const upload = useContext(UploadContext);
  const [isBusy, setBusy] = useState(false);
  const [isOver, setOver] = useState(false);
  const [fault, setFault] = useState<string>();

  const take = async (files: readonly File[]): Promise<void> => {
    const file = files.find(accepts);
    if (file === undefined) return setFault(files.length > 0 ? t("widgets.upload.wrongKind", { name: files[0]?.name }) : undefined);
    setBusy(true);
    setFault(undefined);
    try {
      set(await upload(named(file)));
    } catch (error) {
      setFault(t("widgets.upload.failed", { name: file.name, reason: error instanceof Error ? error.message : String(error) }));
    } finally {
      setBusy(false);
    }
  };
  const ours = (event: DragEvent | ClipboardEvent, data: DataTransfer | null): void => {
    const files = filesIn(data);
    if (files.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    void take(files);
  };
  return {
    isBusy,
    fault,
    isOver,
    take,
    target: {
      onDragOver: (event) => {
        if (!event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        event.stopPropagation();
        setOver(true);
      },
      onDragLeave: () => setOver(false),
      onDrop: (event) => {
        setOver(false);
        ours(event, event.dataTransfer);
      },
      onPaste: (event) => ours(event, event.clipboardData),
    },
  };
}

/** Ask for a file, as the system does it. */
export function chooseFile(accept: string, chosen: (files: readonly File[]) => void): void {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = accept;
  input.addEventListener("change", () => chosen([...(input.files ?? [])]));
  input.click();
}
