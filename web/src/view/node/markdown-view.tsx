import { Fragment, memo } from "react";
import { readMarkdown, type Block, type Inline } from "./markdown";

/** Markdown as elements. Its headings are no headings of the page. */
export const Markdown = memo(function Markdown({ text }: { readonly text: string }): React.JSX.Element {
  return (
    <div className="n-markdown">
      {readMarkdown(text).map((block, place) => (
        <BlockView key={place} block={block} />
      ))}
    </div>
  );
});

function BlockView({ block }: { readonly block: Block }): React.JSX.Element {
  switch (block.kind) {
    case "heading":
      return <p className={`h h${block.level}`}>{inline(block.parts)}</p>;
    case "list": {
      const items = block.items.map((item, place) => <li key={place}>{inline(item)}</li>);
      return block.ordered ? <ol>{items}</ol> : <ul>{items}</ul>;
    }
    case "code":
      return <pre>{block.text}</pre>;
    case "rule":
      return <hr />;
    case "quote":
      return <blockquote>{lines(block.lines)}</blockquote>;
    case "paragraph":
      return <p>{lines(block.lines)}</p>;
  }
}

const lines = (all: readonly (readonly Inline[])[]): React.ReactNode =>
  all.map((line, place) => (
    <Fragment key={place}>
      {place > 0 && <br />}
      {inline(line)}
    </Fragment>
  ));

const inline = (parts: readonly Inline[]): React.ReactNode => parts.map((part, place) => <InlineView key={place} part={part} />);

function InlineView({ part }: { readonly part: Inline }): React.ReactNode {
  switch (part.kind) {
    case "text":
      return part.text;
    case "code":
      return <code>{part.text}</code>;
    case "strong":
      return <strong>{inline(part.parts)}</strong>;
    case "em":
      return <em>{inline(part.parts)}</em>;
    case "strike":
      return <s>{inline(part.parts)}</s>;
    case "link":
      return (
        <a className="nodrag" href={part.url} target="_blank" rel="noreferrer noopener">
          {inline(part.parts)}
        </a>
      );
  }
}
