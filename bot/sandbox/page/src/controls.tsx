/** Block Kit's interactive elements as native, labelled controls. */
import { useEffect, useId, useRef, useState } from "react";
import { fromLocalInput, toLocalInput } from "./dates";
import { plain, useDesk } from "./desk";
import { allOptions } from "./elements";
import { Text } from "./rich";
import type { BlockElement, ElementState, Option } from "./types";

export interface ControlProps {
  element: BlockElement;
  state: ElementState;
  /** `typing` is true while a text is still being written. */
  onChange: (state: ElementState, typing?: boolean) => void;
  onEnter?: (state: ElementState) => void;
  label?: string;
  describedBy?: string;
  labelledBy?: string;
  invalid?: boolean;
  id?: string;
}

/** The attributes that tie a control to its label, hint and error. */
const tied = ({ element, label, labelledBy, describedBy, invalid, id }: ControlProps) => ({
  id,
  "aria-label": labelledBy || id ? undefined : label || plain(element.placeholder) || element.action_id,
  "aria-labelledby": labelledBy,
  "aria-describedby": describedBy,
  "aria-invalid": invalid || undefined,
  "data-action-id": element.action_id,
  autoFocus: element.focus_on_load || undefined,
});

function TextInput(props: ControlProps) {
  const { element, state, onChange, onEnter } = props;
  const shared = {
    ...tied(props),
    className: "field",
    value: state.value ?? "",
    placeholder: plain(element.placeholder),
    maxLength: element.max_length,
    onChange: (event: React.ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) =>
      onChange({ ...state, value: event.target.value || null }, true),
  };
  const room = element.max_length && element.max_length - (state.value?.length ?? 0);
  return (
    <>
      {element.multiline ? <textarea rows={4} {...shared} /> : (
        <input
          type={{ email_text_input: "email", url_text_input: "url" }[element.type] ?? "text"}
          inputMode={element.type === "number_input" ? (element.is_decimal_allowed ? "decimal" : "numeric") : undefined}
          autoComplete="off"
          spellCheck={false}
          {...shared}
          onKeyDown={(event) => event.key === "Enter" && onEnter?.(state)}
        />
      )}
      {typeof room === "number" && room <= 50 && <span className="room" aria-live="polite">{room} characters left</span>}
    </>
  );
}

function DateInput(props: ControlProps) {
  const { element, state, onChange } = props;
  if (element.type === "datetimepicker")
    return (
      <input
        type="datetime-local"
        className="field short"
        {...tied(props)}
        value={toLocalInput(state.selected_date_time)}
        onChange={(event) => onChange({ ...state, selected_date_time: fromLocalInput(event.target.value) })}
      />
    );
  const key = element.type === "datepicker" ? "selected_date" : "selected_time";
  return (
    <input
      type={element.type === "datepicker" ? "date" : "time"}
      className="field short"
      {...tied(props)}
      value={state[key] ?? ""}
      onChange={(event) => onChange({ ...state, [key]: event.target.value || null })}
    />
  );
}

/** What a native select of this element offers, and how its choice is held. */
function useChoices(element: BlockElement): { groups: { label: string; items: [string, string][] }[]; key: keyof ElementState } {
  const { state } = useDesk();
  const items = (options: Option[]) => options.map((option): [string, string] => [option.value ?? "", plain(option.text)]);
  if (/users_select$/.test(element.type)) {
    const people = state.users.map((user): [string, string] => [user.id, user.real_name + (user.deleted ? " (deactivated)" : "")]);
    return { groups: [{ label: "", items: people }], key: element.type.startsWith("multi") ? "selected_users" : "selected_user" };
  }
  if (/^(channels|conversations)_select$/.test(element.type)) {
    const channels = state.channels.filter((channel) => channel.kind === "channel" && !channel.is_archived);
    return {
      groups: [{ label: "", items: channels.map((channel) => [channel.id, `# ${channel.name}`]) }],
      key: element.type === "channels_select" ? "selected_channel" : "selected_conversation",
    };
  }
  const groups = element.option_groups?.map((group) => ({ label: plain(group.label), items: items(group.options) }));
  return {
    groups: groups ?? [{ label: "", items: items(element.options ?? []) }],
    key: element.type.startsWith("multi") ? "selected_options" : "selected_option",
  };
}

function Select(props: ControlProps) {
  const { element, state, onChange } = props;
  const { groups, key } = useChoices(element);
  const multiple = key === "selected_users" || key === "selected_options";
  const asHeld = (value: string) => (key.startsWith("selected_option") ? allOptions(element).find((o) => (o.value ?? "") === value) : value);
  const asValue = (held: unknown) => (held && typeof held === "object" ? ((held as Option).value ?? "") : ((held as string | null) ?? ""));
  const change = (event: React.ChangeEvent<HTMLSelectElement>) => {
    const chosen = [...event.target.selectedOptions].filter((option) => option.value !== "" || multiple).map((option) => asHeld(option.value));
    onChange({ ...state, [key]: multiple ? chosen : (chosen[0] ?? null) });
  };
  return (
    <select
      className={multiple ? "field" : "field select"}
      {...tied(props)}
      multiple={multiple}
      value={multiple ? ((state[key] as unknown[]) ?? []).map(asValue) : asValue(state[key])}
      onChange={change}
    >
      {!multiple && <option value="">{plain(element.placeholder) || "Select an option"}</option>}
      {groups.map((group) => {
        const options = group.items.map(([value, text]) => <option key={value} value={value}>{text}</option>);
        return group.label ? <optgroup key={group.label} label={group.label}>{options}</optgroup> : options;
      })}
    </select>
  );
}

/** Radio buttons and checkboxes: one labelled native input per option. */
function Picks(props: ControlProps) {
  const { element, state, onChange, labelledBy, describedBy } = props;
  const name = useId();
  const one = element.type === "radio_buttons";
  const held = one ? [state.selected_option] : (state.selected_options ?? []);
  const change = (option: Option, on: boolean) => {
    if (one) return onChange({ ...state, selected_option: option });
    const rest = (state.selected_options ?? []).filter((other) => other.value !== option.value);
    onChange({ ...state, selected_options: allOptions(element).filter((other) => rest.some((r) => r.value === other.value) || (on && other.value === option.value)) });
  };
  return (
    <div
      role={one ? "radiogroup" : "group"}
      className="picks"
      aria-label={labelledBy ? undefined : props.label || element.action_id}
      aria-labelledby={labelledBy}
      aria-describedby={describedBy}
      data-action-id={element.action_id}
    >
      {allOptions(element).map((option) => (
        <label key={option.value} className="pick">
          <input
            type={one ? "radio" : "checkbox"}
            name={name}
            value={option.value}
            aria-invalid={props.invalid || undefined}
            checked={held.some((other) => other?.value === option.value)}
            onChange={(event) => change(option, event.target.checked)}
          />
          <span>
            <Text text={option.text} />
            {option.description && <span className="pick-more"><Text text={option.description} /></span>}
          </span>
        </label>
      ))}
    </div>
  );
}

/** A control for every stateful element; an unknown one says what it is instead of pretending. */
export function Control(props: ControlProps) {
  const { type } = props.element;
  if (/text_input$|^number_input$/.test(type)) return <TextInput {...props} />;
  if (/^(date|time|datetime)picker$/.test(type)) return <DateInput {...props} />;
  if (type === "radio_buttons" || type === "checkboxes") return <Picks {...props} />;
  if (/^(static|users|channels|conversations|multi_static|multi_users)_select$/.test(type)) return <Select {...props} />;
  return <span className="unknown">The sandbox does not draw “{type}” elements.</span>;
}

/** The “⋯” of an overflow element: a button and its menu, by mouse and by arrow keys. */
export function Overflow({ element, busy, onChoose }: { element: BlockElement; busy: boolean; onChoose: (option: Option) => void }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLSpanElement>(null);
  const items = () => [...(box.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
  useEffect(() => {
    if (!open) return;
    items()[0]?.focus();
    const outside = (event: PointerEvent) => box.current?.contains(event.target as Node) || setOpen(false);
    addEventListener("pointerdown", outside);
    return () => removeEventListener("pointerdown", outside);
  }, [open]);
  const close = () => (setOpen(false), box.current?.querySelector("button")?.focus());
  const move = (event: React.KeyboardEvent) => {
    if (!open) return;
    const all = items();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) all[(all.indexOf(document.activeElement as HTMLElement) + step + all.length) % all.length]?.focus();
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <span className="overflow" ref={box} onKeyDown={move}>
      <button
        type="button"
        className={`button${busy ? " busy" : ""}`}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label="More actions"
        data-action-id={element.action_id}
        onClick={() => setOpen(!open)}
      >
        ⋯
      </button>
      {open && (
        <span role="menu" className="menu" aria-label="More actions">
          {element.options?.map((option) => (
            <button key={option.value} type="button" role="menuitem" tabIndex={-1} data-value={option.value} onClick={() => (close(), onChoose(option))}>
              {plain(option.text)}
            </button>
          ))}
        </span>
      )}
    </span>
  );
}
