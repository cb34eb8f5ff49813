// Errors as a list: each says what is wrong as a sentence, and leads to its node and input.

import { t } from "../../i18n";
import type { NodeError } from "../../state/runs";
import { abridged, isDetailed, WHOLE, type DetailedError } from "./describe";
import "./errors.css";

export interface ErrorsListProps {
  /** By the node id that the server uses. */
  readonly errors: Readonly<Record<string, readonly NodeError[]>>;
  /** The title of a node; without it the node's type is shown. */
  readonly titleOf?: (serverId: string) => string | undefined;
  readonly onShow: (serverId: string, input: string | undefined) => void;
}

export function ErrorsList({ errors, titleOf, onShow }: ErrorsListProps): React.JSX.Element {
  const entries = Object.entries(errors).flatMap(([node, own]) => own.map((error, place) => ({ node, error, key: `${node}/${place}` })));
  return (
    <section className="errors-panel" aria-label={t("errors.title")}>
      <h2 className="errors-title">
        <span role="status">{entries.length === 0 ? t("errors.none") : t("errors.count", { count: entries.length })}</span>
      </h2>
      {entries.length === 0 && <p className="errors-hint">{t("errors.noneHint")}</p>}
      <ul className="errors-list">
        {entries.map(({ node, error, key }) => (
          <ErrorItem key={key} node={node} error={error} title={titleOf?.(node)} onShow={onShow} />
        ))}
      </ul>
    </section>
  );
}

interface ErrorItemProps extends Pick<ErrorsListProps, "onShow"> {
  readonly node: string;
  readonly error: NodeError;
  readonly title: string | undefined;
}

function ErrorItem({ node, error, title, onShow }: ErrorItemProps): React.JSX.Element {
  const detailed = isDetailed(error) ? error : undefined;
  const isOfNode = node !== WHOLE;
  const name = isOfNode ? (title ?? detailed?.nodeType ?? node) : t("errors.workflow");
  return (
    <li className="error-item" data-level={detailed?.level ?? "error"}>
      <div className="error-head">
        <span className="error-node">{name}</span>
        {isOfNode && <span className="error-id">#{node}</span>}
        {detailed?.level === "note" && <span className="error-id">{t("errors.note")}</span>}
        {isOfNode && <ShowButton node={name} input={error.input} onShow={() => onShow(node, error.input)} />}
      </div>
      <p className="error-message">{error.message}</p>
      <Facts error={error} detailed={detailed} />
    </li>
  );
}

interface ShowButtonProps {
  readonly node: string;
  readonly input: string | undefined;
  readonly onShow: () => void;
}

function ShowButton({ node, input, onShow }: ShowButtonProps): React.JSX.Element {
  const label = input === undefined ? t("errors.showNode", { node }) : t("errors.showInput", { node, input });
  return (
    <button type="button" className="error-show" aria-label={label} onClick={onShow}>
      {t("errors.show")}
    </button>
  );
}

function Facts({ error, detailed }: { readonly error: NodeError; readonly detailed: DetailedError | undefined }): React.JSX.Element {
  const { allowed } = detailed ?? {};
  return (
    <>
      <dl className="error-facts">
        <Fact name={t("errors.input")} value={error.input} />
        <Fact name={t("errors.value")} value={detailed?.value} />
        {allowed !== undefined && <Allowed values={allowed} />}
      </dl>
      {error.details !== undefined && allowed === undefined && <pre className="error-details">{error.details}</pre>}
    </>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string | undefined }): React.JSX.Element | null {
  if (value === undefined) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

function Allowed({ values }: { readonly values: readonly string[] }): React.JSX.Element {
  const { shown, more } = abridged(values);
  return <Fact name={t("errors.allowed")} value={[shown.join(", "), more > 0 ? t("errors.more", { count: more }) : ""].join(" ").trim()} />;
}
