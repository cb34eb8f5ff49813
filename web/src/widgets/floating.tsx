// Popovers and menus of fields. They are mounted only while open: a graph has thousands of fields.

import * as Menu from "@radix-ui/react-dropdown-menu";
import * as Popover from "@radix-ui/react-popover";
import type { ReactNode, RefObject, SyntheticEvent } from "react";
import { createPortal } from "react-dom";

/** What happens inside a floating part is nothing to the node beneath it, though React tells it. */
const keepInside = (event: SyntheticEvent): void => event.stopPropagation();
const contained = {
  onPointerDown: keepInside,
  onClick: keepInside,
  onDoubleClick: keepInside,
  onContextMenu: keepInside,
  onKeyDown: keepInside,
  onWheel: keepInside,
  onPaste: keepInside,
  onDrop: keepInside,
};

interface FloatProps {
  readonly anchor: RefObject<HTMLElement | null>;
  readonly label: string;
  readonly close: () => void;
  readonly children: ReactNode;
  readonly className?: string;
}

/** A popover under `anchor`. */
export function Float({ anchor, label, close, children, className = "" }: FloatProps): React.JSX.Element {
  return (
    <Popover.Root open onOpenChange={(open) => !open && close()}>
      <Popover.Anchor virtualRef={anchor as RefObject<HTMLElement>} />
      <Popover.Portal>
        <Popover.Content
          {...contained}
          className={`w-float nodrag nowheel ${className}`}
          align="start"
          sideOffset={2}
          collisionPadding={8}
          aria-label={label}
          onCloseAutoFocus={(event) => {
            event.preventDefault();
            anchor.current?.focus({ preventScroll: true });
          }}
        >
          {children}
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

export interface MenuItem {
  readonly label: string;
  readonly run: () => void;
  readonly disabled?: boolean;
  readonly checked?: boolean;
  readonly icon?: ReactNode;
}

interface FloatingMenuProps {
  /** Where the menu opens, in the coordinates of the window. */
  readonly at: { readonly x: number; readonly y: number };
  readonly label: string;
  readonly items: readonly MenuItem[];
  readonly close: () => void;
}

export function FloatingMenu({ at, label, items, close }: FloatingMenuProps): React.JSX.Element {
  return (
    <Menu.Root open modal={false} onOpenChange={(open) => !open && close()}>
      {createPortal(
        // Not in the graph, which is moved and scaled.
        <Menu.Trigger asChild>
          <span className="w-menu-anchor" style={{ left: at.x, top: at.y }} aria-hidden />
        </Menu.Trigger>,
        document.body,
      )}
      <Menu.Portal>
        <Menu.Content
          {...contained}
          onKeyDown={undefined}
          className="w-float w-menu nodrag nowheel"
          aria-label={label}
          align="start"
          sideOffset={2}
          collisionPadding={8}
          onCloseAutoFocus={(event) => event.preventDefault()}
        >
          {items.map((item) => (
            <Row key={item.label} item={item} />
          ))}
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}

function Row({ item }: { readonly item: MenuItem }): React.JSX.Element {
  const common = { className: "w-menu-item", disabled: item.disabled ?? false, onSelect: item.run };
  if (item.checked === undefined) {
    return (
      <Menu.Item {...common}>
        <span className="w-menu-icon">{item.icon}</span>
        {item.label}
      </Menu.Item>
    );
  }
  return (
    <Menu.CheckboxItem {...common} checked={item.checked}>
      <span className="w-menu-icon">{item.icon}</span>
      {item.label}
    </Menu.CheckboxItem>
  );
}
