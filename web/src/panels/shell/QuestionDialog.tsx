// The one dialog for questions: confirm, give a name, decide a conflict.

import * as Dialog from "@radix-ui/react-dialog";
import { useTranslation } from "react-i18next";
import { useUi } from "../../state/editor";
import type { UiState } from "../../state/ui";

export function QuestionDialog(): React.JSX.Element | null {
  const question = useUi((state) => state.question);
  return question === undefined ? null : <Asked question={question} />;
}

function Asked({ question }: { readonly question: NonNullable<UiState["question"]> }): React.JSX.Element {
  const { t } = useTranslation();
  const answer = (action: string, form: HTMLFormElement | null): void => {
    const text = form === null ? "" : String(new FormData(form).get("text") ?? "");
    question.answer({ action, text });
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && question.answer(undefined)}>
      <Dialog.Portal>
        <Dialog.Overlay className="dialog-shade" />
        <Dialog.Content
          className="dialog"
          onOpenAutoFocus={(event) => {
            event.preventDefault();
            (event.currentTarget as HTMLElement).querySelector<HTMLElement>("input, [type=submit]")?.focus();
          }}
          {...(question.text === undefined ? { "aria-describedby": undefined } : {})}>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              answer(question.actions[0]?.id ?? "", event.currentTarget);
            }}
          >
            <Dialog.Title className="dialog-title">{question.title}</Dialog.Title>
            {question.text !== undefined && <Dialog.Description className="dialog-text">{question.text}</Dialog.Description>}
            {question.lines !== undefined && (
              <ul className="dialog-lines">
                {question.lines.map((line) => (
                  <li key={line}>{line}</li>
                ))}
              </ul>
            )}
            {question.field !== undefined && (
              <label className="dialog-field">
                <span>{question.field.label}</span>
                <input
                  className="text-field"
                  name="text"
                  defaultValue={question.field.value}
                  autoComplete="off"
                  spellCheck={false}
                  onFocus={(event) => event.target.select()}
                />
              </label>
            )}
            <div className="dialog-actions">
              <button type="button" className="button" onClick={() => question.answer(undefined)}>
                {t("shell.cancel")}
              </button>
              <span className="spring" />
              {[...question.actions].reverse().map((action) => (
                <button
                  key={action.id}
                  type={action === question.actions[0] ? "submit" : "button"}
                  className={`button ${action.tone ?? ""}`}
                  onClick={
                    action === question.actions[0] ? undefined : (event) => answer(action.id, event.currentTarget.form)
                  }
                >
                  {action.label}
                </button>
              ))}
            </div>
          </form>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
