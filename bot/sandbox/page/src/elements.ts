/** What an interactive element holds: its first state, and what is missing in it. No React here. */
import type { Block, BlockElement, ElementState, Option, Values } from "./types";

/** The part of a state that an element of each kind starts with. */
const FIRST: Record<string, (element: BlockElement) => Omit<ElementState, "type">> = {
  plain_text_input: (e) => ({ value: e.initial_value || null }),
  email_text_input: (e) => ({ value: e.initial_value || null }),
  url_text_input: (e) => ({ value: e.initial_value || null }),
  number_input: (e) => ({ value: e.initial_value || null }),
  static_select: (e) => ({ selected_option: e.initial_option ?? null }),
  radio_buttons: (e) => ({ selected_option: e.initial_option ?? null }),
  checkboxes: (e) => ({ selected_options: e.initial_options ?? [] }),
  multi_static_select: (e) => ({ selected_options: e.initial_options ?? [] }),
  datepicker: (e) => ({ selected_date: e.initial_date ?? null }),
  timepicker: (e) => ({ selected_time: e.initial_time ?? null }),
  datetimepicker: (e) => ({ selected_date_time: e.initial_date_time ?? null }),
  users_select: (e) => ({ selected_user: e.initial_user ?? null }),
  multi_users_select: (e) => ({ selected_users: e.initial_users ?? [] }),
  channels_select: (e) => ({ selected_channel: e.initial_channel ?? null }),
  conversations_select: (e) => ({ selected_conversation: e.initial_conversation ?? null }),
};

export const isStateful = (element: BlockElement) => element.type in FIRST;

export const firstState = (element: BlockElement): ElementState => ({ type: element.type, ...FIRST[element.type]?.(element) });

export const allOptions = (element: BlockElement): Option[] =>
  element.options ?? element.option_groups?.flatMap((group) => group.options) ?? [];

/** The block id that Slack would have given; blocks without one are told apart by their place. */
export const blockId = (block: Block, index: number) => block.block_id ?? `block-${index}`;

const elementsOf = (block: Block): BlockElement[] => {
  if (block.type === "input") return block.element ? [block.element] : [];
  if (block.type === "actions") return block.elements ?? [];
  return block.type === "section" && block.accessory ? [block.accessory] : [];
};

/** `view.state.values`: every stateful element of the blocks, touched or not. */
export function collect(blocks: Block[], touched: Values): Values {
  const values: Values = {};
  blocks.forEach((block, index) => {
    const id = blockId(block, index);
    for (const element of elementsOf(block).filter(isStateful)) {
      const action = element.action_id ?? "";
      (values[id] ??= {})[action] = touched[id]?.[action] ?? firstState(element);
    }
  });
  return values;
}

const isEmpty = ({ type: _, ...state }: ElementState) =>
  Object.values(state).every((held) => held == null || held === "" || (Array.isArray(held) && held.length === 0));

/** What Slack itself refuses before it asks the app, by block id. */
export function missing(blocks: Block[], values: Values): Record<string, string> {
  const problems: Record<string, string> = {};
  blocks.forEach((block, index) => {
    const element = block.type === "input" ? block.element : undefined;
    const state = element && values[blockId(block, index)]?.[element.action_id ?? ""];
    if (!element || !state) return;
    const length = state.value?.length ?? 0;
    if (isEmpty(state)) {
      if (!block.optional) problems[blockId(block, index)] = "Please complete this required field.";
    } else if (element.min_length && length < element.min_length)
      problems[blockId(block, index)] = `Please enter at least ${element.min_length} characters.`;
    else if (element.type === "number_input") {
      const problem = outOfRange(element, state.value ?? "");
      if (problem) problems[blockId(block, index)] = problem;
    }
  });
  return problems;
}

function outOfRange(element: BlockElement, value: string): string | null {
  const number = Number(value);
  if (Number.isNaN(number)) return "Please enter a number.";
  if (!element.is_decimal_allowed && !Number.isInteger(number)) return "Please enter a whole number.";
  if (element.min_value !== undefined && number < Number(element.min_value)) return `Please enter ${element.min_value} or more.`;
  if (element.max_value !== undefined && number > Number(element.max_value)) return `Please enter ${element.max_value} or less.`;
  return null;
}
