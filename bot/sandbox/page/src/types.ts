/** What the sandbox's server tells the page. Block Kit objects keep Slack's own field names. */

export interface User {
  id: string;
  team_id: string;
  name: string;
  real_name: string;
  title?: string;
  email?: string;
  tz?: string;
  is_bot?: boolean;
  is_restricted?: boolean;
  deleted?: boolean;
  color?: string;
}

export interface UserGroup {
  id: string;
  handle: string;
  name: string;
  users: string[];
}

export interface TextObject {
  type: "plain_text" | "mrkdwn";
  text: string;
  emoji?: boolean;
}

export interface Option {
  text: TextObject;
  value?: string;
  description?: TextObject;
  url?: string;
}

export interface Confirmation {
  title?: TextObject;
  text?: TextObject;
  confirm?: TextObject;
  deny?: TextObject;
  style?: "primary" | "danger";
}

/** An interactive element, with the fields of every kind that the page draws. */
export interface BlockElement {
  type: string;
  action_id?: string;
  text?: TextObject;
  value?: string;
  url?: string;
  style?: "primary" | "danger";
  accessibility_label?: string;
  confirm?: Confirmation;
  placeholder?: TextObject;
  options?: Option[];
  option_groups?: { label: TextObject; options: Option[] }[];
  multiline?: boolean;
  min_length?: number;
  max_length?: number;
  min_value?: string;
  max_value?: string;
  is_decimal_allowed?: boolean;
  focus_on_load?: boolean;
  initial_value?: string;
  initial_option?: Option;
  initial_options?: Option[];
  initial_date?: string;
  initial_time?: string;
  initial_date_time?: number;
  initial_user?: string;
  initial_users?: string[];
  initial_channel?: string;
  initial_conversation?: string;
}

export interface Block {
  type: string;
  block_id?: string;
  text?: TextObject;
  accessory?: BlockElement;
  element?: BlockElement;
  elements?: BlockElement[];
  label?: TextObject;
  hint?: TextObject;
  optional?: boolean;
  dispatch_action?: boolean;
  [field: string]: unknown;
}

/** The state of one element as Slack sends it in `view.state.values`. */
export interface ElementState {
  type: string;
  value?: string | null;
  selected_option?: Option | null;
  selected_options?: Option[];
  selected_date?: string | null;
  selected_time?: string | null;
  selected_date_time?: number | null;
  selected_user?: string | null;
  selected_users?: string[];
  selected_channel?: string | null;
  selected_conversation?: string | null;
}

/** Element states by block id, then by action id. */
export type Values = Record<string, Record<string, ElementState>>;

export interface SlackFile {
  id: string;
  name?: string;
  title?: string;
  size?: number;
  mimetype?: string;
  url_private?: string;
}

export interface Attachment {
  color?: string;
  title?: string;
  text?: string;
  fallback?: string;
  blocks?: Block[];
}

export interface Message {
  ts: string;
  user: string;
  text?: string;
  blocks?: Block[];
  attachments?: Attachment[];
  thread_ts?: string | null;
  reply_broadcast?: boolean;
  edited?: boolean;
  reactions?: { name: string; users: string[] }[];
  ephemeral_to?: string | null;
  files?: SlackFile[];
}

export interface Channel {
  id: string;
  name: string;
  kind: "channel" | "dm";
  user?: string;
  members: string[];
  is_archived?: boolean;
  messages: Message[];
}

export interface View {
  type: "modal" | "home";
  title?: TextObject;
  submit?: TextObject | null;
  close?: TextObject | null;
  blocks: Block[];
  callback_id?: string;
}

export interface OpenView {
  id: string;
  hash?: string;
  view: View;
  errors?: Record<string, string>;
}

export interface Command {
  command: string;
  description?: string;
  usage_hint?: string;
}

export type Mail = Record<string, unknown>;

export interface State {
  version: number;
  now: number;
  team: { id: string; name: string; domain: string };
  bot: { user_id: string; bot_id: string; app_id: string; name: string; connected: boolean; transport: string };
  users: User[];
  usergroups: UserGroup[];
  channels: Channel[];
  modals: Record<string, OpenView[]>;
  homes: Record<string, OpenView>;
  commands: Command[];
  mail: Mail[];
}

/** One call on the wire. */
export interface Traffic {
  n: number;
  at: number;
  direction: "bot_to_slack" | "slack_to_bot";
  kind: "web_api" | "socket" | "http" | "response_url" | "upload";
  name: string;
  request: unknown;
  response: unknown;
  status: number | null;
  ms: number;
  note: string | null;
}

/** What the server says to a person's doing. */
export interface Answer {
  ok: boolean;
  error?: string;
  message?: string;
  response_action?: string;
  errors?: Record<string, string>;
  [field: string]: unknown;
}

export interface Fault {
  fault: string;
  method?: string;
  count?: number;
  seconds?: number;
  retry_after?: number;
  delay?: number;
  code?: string;
}
