/** What blocks stand in: a message, a modal or the Home tab. It holds their elements' states and tells the bot. */
import { useCallback, useState } from "react";
import { post } from "./api";
import { useAsk } from "./confirm";
import { useDesk } from "./desk";
import { collect, firstState } from "./elements";
import type { Answer, Block, BlockElement, ElementState, Values } from "./types";

export type Origin = { channel: string; message_ts: string } | { view_id: string };

export interface Host {
  /** `block/action` of the element whose click is under way. */
  busy: string | null;
  /** The last click's failure, until the next click. */
  failure: Answer | null;
  errors: Record<string, string>;
  read: (block: string, element: BlockElement) => ElementState;
  hold: (block: string, element: BlockElement, state: ElementState) => void;
  act: (block: string, element: BlockElement, state: Partial<ElementState>) => Promise<void>;
}

export type Touched = [Values, (change: (before: Values) => Values) => void];

const NOTHING: Record<string, string> = {};

export function useHost(origin: Origin, blocks: Block[], [values, setValues]: Touched, errors = NOTHING): Host {
  const { me } = useDesk();
  const ask = useAsk();
  const [busy, setBusy] = useState<string | null>(null);
  const [failure, setFailure] = useState<Answer | null>(null);

  const withState = (before: Values, block: string, element: BlockElement, state: ElementState): Values =>
    ({ ...before, [block]: { ...before[block], [element.action_id ?? ""]: state } });

  const hold = useCallback<Host["hold"]>(
    (block, element, state) => setValues((before) => withState(before, block, element, state)),
    [setValues],
  );

  const act: Host["act"] = async (block, element, change) => {
    if (element.confirm && !(await ask(element.confirm))) return;
    if (element.url && /^https?:/i.test(element.url)) open(element.url, "_blank", "noopener");
    const stateful = "type" in change;
    const next = stateful ? withState(values, block, element, change as ElementState) : values;
    if (stateful) setValues((before) => withState(before, block, element, change as ElementState));
    setBusy(`${block}/${element.action_id}`);
    setFailure(null);
    const answer = await post("click", {
      user: me.id, ...origin, block_id: block, action_id: element.action_id, ...change, values: collect(blocks, next),
    });
    setBusy(null);
    setFailure(answer.ok ? null : answer);
  };

  const read: Host["read"] = (block, element) => values[block]?.[element.action_id ?? ""] ?? firstState(element);
  return { busy, failure, errors, read, hold, act };
}

export const useTouched = (): Touched => useState<Values>({});
