// Yes or no: the whole row is the switch.

import type { SwitchWidget } from "../model/types";
import { t } from "../i18n";
import { ariaOf, type FieldProps } from "./field";

const worded = (value: unknown, other: string): string => (typeof value === "string" && value !== "" ? value : other);

export function SwitchField(props: FieldProps<SwitchWidget>): React.JSX.Element {
  const isOn = props.value === true;
  const { label_on: on, label_off: off } = props.input.options;
  return (
    <div className={`w-field w-switch nodrag${props.invalid ? " is-invalid" : ""}`}>
      <button {...ariaOf(props)} type="button" role="switch" aria-checked={isOn} className="w-open" onClick={() => props.set(!isOn)}>
        <span className="w-name">{props.label}</span>
        <span className="w-value">{isOn ? worded(on, t("widgets.on")) : worded(off, t("widgets.off"))}</span>
        <span className="w-knob" aria-hidden />
      </button>
    </div>
  );
}
