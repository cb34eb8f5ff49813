// What stands beside a number with an after-run control: a dice for a new value now, and what happens after each run.

import { ArrowDown, ArrowUp, Dices, Lock, Shuffle } from "lucide-react";
import { useState } from "react";
import type { AfterRun } from "../model/document";
import { randomValue } from "../model/numbers";
import type { IntWidget } from "../model/types";
import { t } from "../i18n";
import type { FieldProps } from "./field";
import { FloatingMenu } from "./floating";
import { NumberField } from "./number-field";

const MODES = ["fixed", "increment", "decrement", "randomize"] as const;
const ICONS: Readonly<Record<AfterRun, typeof Lock>> = { fixed: Lock, increment: ArrowUp, decrement: ArrowDown, randomize: Shuffle };
/** What a control that nobody has set does: as people know it, seeds change after every run. */
export const DEFAULT_CONTROL: AfterRun = "randomize";

/** 64 random bits. */
export const randomBits = (): bigint => crypto.getRandomValues(new BigUint64Array(1))[0] ?? 0n;

interface ControlProps {
  readonly label: string;
  readonly mode: AfterRun;
  readonly setMode: (mode: AfterRun) => void;
}

/** The button that says what happens after a run, and changes it. */
export function ControlButton({ label, mode, setMode }: ControlProps): React.JSX.Element {
  const [at, setAt] = useState<{ x: number; y: number }>();
  const Icon = ICONS[mode];
  const text = t("widgets.control.label", { name: label, mode: t(`widgets.control.${mode}`) });
  return (
    <>
      <button
        type="button"
        className="w-icon nodrag"
        aria-label={text}
        title={text}
        aria-haspopup="menu"
        aria-expanded={at !== undefined}
        onClick={(event) => {
          const { left, bottom } = event.currentTarget.getBoundingClientRect();
          setAt({ x: left, y: bottom });
        }}
      >
        <Icon size={12} aria-hidden />
      </button>
      {at !== undefined && (
        <FloatingMenu
          at={at}
          label={t("widgets.control.title")}
          close={() => setAt(undefined)}
          items={MODES.map((each) => {
            const Each = ICONS[each];
            const icon = <Each size={12} aria-hidden />;
            return { label: t(`widgets.control.${each}`), checked: each === mode, icon, run: () => setMode(each) };
          })}
        />
      )}
    </>
  );
}

type SeedProps = FieldProps<IntWidget> & Omit<ControlProps, "label">;

export function SeedField({ mode, setMode, ...props }: SeedProps): React.JSX.Element {
  const label = t("widgets.seed.dice", { name: props.label });
  return (
    <NumberField {...props}>
      <button
        type="button"
        className="w-icon nodrag"
        aria-label={label}
        title={label}
        onClick={() => props.set(randomValue(props.widget, randomBits))}
      >
        <Dices size={13} aria-hidden />
      </button>
      <ControlButton label={props.label} mode={mode} setMode={setMode} />
    </NumberField>
  );
}
