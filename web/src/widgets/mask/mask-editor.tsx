// The mask editor: a window over the page with the picture, the tools above it. Loaded only when it is opened.

import * as Dialog from "@radix-ui/react-dialog";
import { useContext, useEffect, useState, useSyncExternalStore } from "react";
import { t } from "../../i18n";
import { messageOf } from "../../commands/notify";
import { UploadContext } from "../upload";
import { MaskCanvas } from "./mask-canvas";
import { MaskTools } from "./mask-tools";
import { forget, keep, open, save, type Painting } from "./files";
import "./mask.css";

interface MaskEditorProps {
  /** The widget's value: the picture to paint on. */
  readonly value: string;
  readonly saved: (value: string) => void;
  readonly close: () => void;
}

export default function MaskEditor({ value, saved, close }: MaskEditorProps): React.JSX.Element {
  const [painting, setPainting] = useState<Painting>();
  const [fault, setFault] = useState<string>();
  useEffect(() => {
    let isWanted = true;
    open(value).then(
      (opened) => isWanted && setPainting(opened),
      (error: unknown) => isWanted && setFault(t("mask.openFailed", { name: value, reason: messageOf(error) })),
    );
    return () => {
      isWanted = false;
    };
  }, [value]);
  if (painting !== undefined) return <Open value={value} painting={painting} saved={saved} close={close} />;
  return (
    <Frame close={close}>
      <div className="m-waiting" role={fault === undefined ? "status" : "alert"}>
        <p>{fault ?? t("mask.opening")}</p>
        {fault !== undefined && <button type="button" className="button" onClick={close}>{t("mask.close")}</button>}
      </div>
    </Frame>
  );
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

interface FrameProps {
  readonly close: () => void;
  readonly children: React.ReactNode;
}

function Frame({ close, children }: FrameProps): React.JSX.Element {
  return (
    <Dialog.Root open onOpenChange={(isOpen) => !isOpen && close()}>
      <Dialog.Portal>
        <Dialog.Overlay className="m-overlay" />
        <Dialog.Content
          className="m-window nodrag nowheel nopan"
          aria-describedby={undefined}
          onPointerDown={inside}
          onClick={inside}
          onDoubleClick={inside}
          onContextMenu={inside}
          onKeyDown={inside}
          onPointerDownOutside={(event) => event.preventDefault()}
        >
          <Dialog.Title className="m-title">{t("mask.title")}</Dialog.Title>
          {children}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** The window is a child of a node for React, but nothing in it concerns the node. */
const inside = (event: React.SyntheticEvent): void => event.stopPropagation();

function Open({ value, painting, saved, close }: MaskEditorProps & { readonly painting: Painting }): React.JSX.Element {
  const { session } = painting;
  const upload = useContext(UploadContext);
  useSyncExternalStore(session.subscribe, () => session.version);
  const [isAsking, setAsking] = useState(false);
  const [isSaving, setSaving] = useState(false);
  const [fault, setFault] = useState<string>();

  // Whatever takes the window away, the strokes stay: they are here again when it is opened next.
  useEffect(() => {
    const remember = (): void => (session.isUnsaved ? keep(value, painting) : forget(value));
    remember();
    return session.subscribe(remember);
  }, [session, value, painting]);

  const leave = (): void => {
    session.end();
    if (session.isUnsaved) setAsking(true);
    else close();
  };
  const discard = (): void => {
    forget(value);
    close();
  };
  const store = async (): Promise<void> => {
    session.end();
    setSaving(true);
    setFault(undefined);
    try {
      const name = await save(value, session, upload);
      session.markSaved();
      forget(value);
      saved(name);
      close();
    } catch (error) {
      setAsking(false);
      setFault(t("mask.saveFailed", { reason: reasonOf(error) }));
      setSaving(false);
    }
  };
  return (
    <Frame close={leave}>
      <MaskTools session={session} isSaving={isSaving} save={() => void store()} close={leave} />
      <MaskCanvas painting={painting} save={() => void store()} />
      {fault !== undefined && <p className="m-fault" role="alert">{fault}</p>}
      {isAsking && <Question save={() => void store()} discard={discard} stay={() => setAsking(false)} isSaving={isSaving} />}
    </Frame>
  );
}

interface QuestionProps {
  readonly save: () => void;
  readonly discard: () => void;
  readonly stay: () => void;
  readonly isSaving: boolean;
}

function Question({ save: keepIt, discard, stay, isSaving }: QuestionProps): React.JSX.Element {
  return (
    <Dialog.Root open onOpenChange={(isOpen) => !isOpen && stay()}>
      <Dialog.Portal>
        <Dialog.Overlay className="m-overlay" />
        <Dialog.Content className="m-question" role="alertdialog" onKeyDown={inside}>
          <Dialog.Title>{t("mask.question")}</Dialog.Title>
          <Dialog.Description>{t("mask.questionText")}</Dialog.Description>
          <div className="m-answers">
            <button type="button" className="m-button is-danger" onClick={discard}>
              {t("mask.discard")}
            </button>
            <button type="button" className="m-button" onClick={stay}>
              {t("mask.stay")}
            </button>
            <button type="button" className="m-button is-main" onClick={keepIt} disabled={isSaving} autoFocus>
              {t("mask.save")}
            </button>
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
