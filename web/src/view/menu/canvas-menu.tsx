// The menu of what lies under the pointer. Most of it are commands of the table, with their keys.

import * as Menu from "@radix-ui/react-dropdown-menu";
import { Check } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useController } from "../controller-context";
import { useCommands } from "../commands-context";
import { useView } from "../context";
import type { MenuAt } from "../view-store";
import { itemsFor, type Item } from "./items";
import "./menu.css";

export function CanvasMenu(): React.JSX.Element | null {
  const { t } = useTranslation();
  const at = useView((view) => view.menu);
  const controller = useController();
  const commands = useCommands();
  if (at === undefined) return null;
  const close = (): void => controller.view.getState().set({ menu: undefined });
  return (
    <Menu.Root key={`${at.screen.x},${at.screen.y}`} open modal={false} onOpenChange={(open) => !open && close()}>
      <Menu.Trigger asChild>
        <span className="c-menu-anchor" style={{ left: at.screen.x, top: at.screen.y }} aria-hidden />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content
          className="menu c-menu"
          align="start"
          sideOffset={0}
          collisionPadding={8}
          aria-label={t(`view.menu.${at.on.kind === "reroute" ? "point" : at.on.kind}`)}
          onCloseAutoFocus={(event) => {
            event.preventDefault();
            // What an item opened, a title or the search, has the focus by now and keeps it.
            if (!isField(document.activeElement)) document.querySelector<HTMLElement>(".canvas-flow")?.focus({ preventScroll: true });
          }}
        >
          {itemsFor(at, controller, commands).map((item, place) => (
            <Row key={place} item={item} at={at} />
          ))}
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}

const isField = (element: Element | null): boolean => element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;

function Row({ item, at }: { readonly item: Item; readonly at: MenuAt }): React.JSX.Element | null {
  const { t } = useTranslation();
  const commands = useCommands();
  switch (item.kind) {
    case "line":
      return <Menu.Separator className="menu-line" />;
    case "command":
      return (
        <Menu.Item className="menu-item" disabled={!commands.can(item.id)} onSelect={() => commands.act(item.id)}>
          <span>{t(`command.${item.id}`)}</span>
          {commands.keys(item.id) !== "" && <kbd>{commands.keys(item.id)}</kbd>}
        </Menu.Item>
      );
    case "action":
      if (item.checked !== undefined) return <Checked item={item} checked={item.checked} />;
      return (
        <Menu.Item className="menu-item" disabled={item.disabled ?? false} onSelect={item.run}>
          <span>{item.label}</span>
        </Menu.Item>
      );
    case "more":
      return (
        <Menu.Sub>
          <Menu.SubTrigger className="menu-item">
            <span>{item.label}</span>
            <span aria-hidden>›</span>
          </Menu.SubTrigger>
          <Menu.Portal>
            <Menu.SubContent className="menu c-menu" sideOffset={2} collisionPadding={8}>
              {item.items.map((inner, place) => (
                <Row key={place} item={inner} at={at} />
              ))}
            </Menu.SubContent>
          </Menu.Portal>
        </Menu.Sub>
      );
    case "colours":
      return (
        <div className="c-colours" role="group" aria-label={t("view.menu.colour")}>
          {item.colours.map(({ name, value }) => (
            <Menu.Item key={name} className="c-colour" aria-label={name} title={name} style={{ background: value ?? "none" }} onSelect={() => item.run(value)} />
          ))}
        </div>
      );
  }
}

function Checked({ item, checked }: { readonly item: Extract<Item, { readonly kind: "action" }>; readonly checked: boolean }): React.JSX.Element {
  return (
    <Menu.CheckboxItem className="menu-item" checked={checked} disabled={item.disabled ?? false} onSelect={item.run}>
      <span>{item.label}</span>
      <Menu.ItemIndicator>
        <Check size={12} aria-hidden />
      </Menu.ItemIndicator>
    </Menu.CheckboxItem>
  );
}
