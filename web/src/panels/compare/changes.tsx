// What changed between two runs, node by node: every input with the value before and after.

import { t } from "../../i18n";
import type { JsonObject } from "../../model/json";
import { diffPrompts, type InputChange, type NodeChange } from "./diff";
import "./compare.css";

interface ChangesProps {
  readonly before: JsonObject;
  readonly after: JsonObject;
}

export function Changes({ before, after }: ChangesProps): React.JSX.Element {
  const changes = diffPrompts(before, after);
  if (changes.length === 0) return <p className="changes-none">{t("compare.same")}</p>;
  return (
    <ul className="changes">
      {changes.map((change) => (
        <Change key={change.node} change={change} />
      ))}
    </ul>
  );
}

function Change({ change }: { readonly change: NodeChange }): React.JSX.Element {
  const { node, title, kind, inputs } = change;
  return (
    <li className="change" data-kind={kind}>
      <span className="change-node">
        {title} <small>#{node}</small>
        {kind !== "changed" && <em>{t(`compare.${kind}`)}</em>}
      </span>
      {inputs.length > 0 && (
        <dl>
          {inputs.map((input) => (
            <Input key={input.input} change={input} />
          ))}
        </dl>
      )}
    </li>
  );
}

function Input({ change }: { readonly change: InputChange }): React.JSX.Element {
  const { input, before, after } = change;
  return (
    <>
      <dt>{input === "" ? t("compare.type") : input}</dt>
      <dd>
        <del aria-label={t("compare.before", { value: before ?? t("compare.nothing") })}>{before ?? t("compare.nothing")}</del>
        <span aria-hidden> → </span>
        <ins aria-label={t("compare.after", { value: after ?? t("compare.nothing") })}>{after ?? t("compare.nothing")}</ins>
      </dd>
    </>
  );
}
