// A choice from a list: a button that opens the list. A value that is not in the list is shown red, and kept.

import { ChevronDown } from "lucide-react";
import { useRef, useState, type ReactNode } from "react";
import type { Json } from "../model/json";
import { isArray } from "../model/json";
import type { ChoiceWidget } from "../model/types";
import { t } from "../i18n";
import { ChoiceList } from "./choice-list";
import { isListed, isSame, optionText } from "./choice-tree";
import { ariaOf, useGestures, type FieldProps } from "./field";
import { Float } from "./floating";

interface ChoiceProps extends FieldProps<ChoiceWidget> {
  /** Of uploads: names that the list does not know yet are no mistake. */
  readonly mayBeUnlisted?: boolean;
  readonly children?: ReactNode;
}

export function ChoiceField(props: ChoiceProps): React.JSX.Element {
  const { widget, value, set, label } = props;
  const [isOpen, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const gestures = useGestures();
  const isMany = props.input.options["multiselect"] === true;
  const chosen = isMany && isArray(value) ? value : [value];
  const isUnknown = props.mayBeUnlisted !== true && !chosen.every((each) => isListed(widget.options, each));
  const text = chosen.map(optionText).join(", ");
  const invalid = props.invalid || isUnknown;

  const pick = (picked: Json): void => {
    if (isMany) {
      set(chosen.some((each) => isSame(each, picked)) ? chosen.filter((each) => !isSame(each, picked)) : [...chosen, picked]);
      return;
    }
    setOpen(false);
    if (!isSame(picked, value)) set(picked);
  };
  const neighbour = (by: number): void => {
    const place = widget.options.findIndex((option) => isSame(option, value));
    const next = widget.options[place < 0 ? 0 : place + by];
    if (next !== undefined) set(next, gestures.current());
  };

  return (
    <div className={`w-field w-choice nodrag${invalid ? " is-invalid" : ""}`}>
      <button
        {...ariaOf({ ...props, invalid })}
        ref={button}
        type="button"
        className="w-open"
        role="combobox"
        aria-haspopup="listbox"
        aria-expanded={isOpen}
        title={isUnknown ? t("widgets.choice.unknown", { value: text }) : text}
        onClick={() => setOpen(true)}
        onKeyDown={(event) => {
          if (event.ctrlKey || event.metaKey || event.altKey) return;
          if (event.key === "ArrowDown" || event.key === "ArrowUp" || event.key === "F2") setOpen(true);
          else if (!isMany && (event.key === "ArrowLeft" || event.key === "ArrowRight")) neighbour(event.key === "ArrowLeft" ? -1 : 1);
          else return;
          event.preventDefault();
          event.stopPropagation();
        }}
      >
        <span className="w-name">{label}</span>
        <Value text={text} />
        <ChevronDown className="w-caret" size={12} aria-hidden />
      </button>
      {props.children}
      {isOpen && (
        <Float anchor={button} label={label} close={() => setOpen(false)} className="w-choices">
          <ChoiceList label={label} options={widget.options} chosen={chosen} pick={pick} close={() => setOpen(false)} />
        </Float>
      )}
    </div>
  );
}

/** A name whose folders are quiet: what people look for is the last part, which also stays when room is short. */
function Value({ text }: { readonly text: string }): React.JSX.Element {
  if (text === "") {
    return (
      <span className="w-value">
        <em>{t("widgets.choice.empty")}</em>
      </span>
    );
  }
  const cut = text.lastIndexOf("/") + 1;
  if (cut === 0) return <span className="w-value">{text}</span>;
  return (
    <span className="w-value has-path">
      <span className="w-path">{text.slice(0, cut)}</span>
      <span className="w-last">{text.slice(cut)}</span>
    </span>
  );
}
