/**
 * The acting person's modals: the top of their stack, in our own frame.
 *
 * What was typed is kept by view, block and action, so it survives a `views.update` and a change of person.
 */
import { useEffect, useRef, useState } from "react";
import { Avatar } from "./avatar";
import { post } from "./api";
import { Blocks } from "./blocks";
import { plain, useDesk } from "./desk";
import { collect, missing } from "./elements";
import { useHost, type Touched } from "./host";
import { Icon } from "./icons";
import type { Answer, OpenView, Values } from "./types";

const drafts = new Map<string, Values>();

function useDraft(view: string): Touched {
  const [, redraw] = useState(0);
  const change = (step: (before: Values) => Values) => {
    drafts.set(view, step(drafts.get(view) ?? {}));
    redraw((n) => n + 1);
  };
  return [drafts.get(view) ?? {}, change];
}

export function Modals() {
  const { state, me } = useDesk();
  const stack = state.modals[me.id] ?? [];
  const top = stack.at(-1);
  return top ? <Modal key={top.id} open={top} depth={stack.length} /> : null;
}

function Modal({ open, depth }: { open: OpenView; depth: number }) {
  const { me, state, users } = useDesk();
  const { view } = open;
  const frame = useRef<HTMLDivElement>(null);
  const [values, setValues] = useDraft(open.id);
  const [local, setLocal] = useState<Record<string, string>>({});
  const [failure, setFailure] = useState<Answer | null>(null);
  const [sending, setSending] = useState(false);
  const errors = Object.keys(local).length ? local : (open.errors ?? {});
  const host = useHost({ view_id: open.id }, view.blocks, [values, setValues], errors);
  useFocus(frame, JSON.stringify(errors), open.hash);

  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    if (sending || !view.submit) return;
    const held = collect(view.blocks, values);
    const problems = missing(view.blocks, held);
    setLocal(problems);
    setFailure(null);
    if (Object.keys(problems).length) return;
    setSending(true);
    const answer = await post("submit", { user: me.id, view_id: open.id, values: held });
    setSending(false);
    if (!answer.ok && !answer.errors) setFailure(answer);
  };
  const close = (clear: boolean) => void post("close", { user: me.id, view_id: open.id, clear });
  const keys = (event: React.KeyboardEvent) => {
    if (event.key === "Escape") close(false);
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) frame.current?.querySelector("form")?.requestSubmit();
    else return;
    event.stopPropagation();
  };
  const trouble = failure ?? host.failure;

  return (
    <div className="veil">
      <div
        ref={frame}
        className={`frame modal${depth > 1 ? " stacked" : ""}`}
        role="dialog"
        aria-labelledby={`title-${open.id}`}
        data-testid="modal"
        data-view-id={open.id}
        data-callback-id={view.callback_id}
        onKeyDown={keys}
      >
        <form noValidate onSubmit={submit}>
          <div className="frame-head">
            {depth > 1 && <button type="button" className="icon" aria-label="Back" onClick={() => close(false)}><Icon name="back" /></button>}
            <Avatar user={users.get(state.bot.user_id)} size={28} />
            <h2 id={`title-${open.id}`}>{plain(view.title)}</h2>
            <button type="button" className="icon" aria-label="Close" data-testid="modal-x" onClick={() => close(true)}><Icon name="close" /></button>
          </div>
          <div className="frame-body" tabIndex={-1}>
            {trouble && <p className="trouble" role="alert">We had some trouble connecting. Try again? <small>{trouble.message ?? trouble.error}</small></p>}
            <Blocks blocks={view.blocks} host={host} />
          </div>
          <div className="frame-foot">
            <button type="button" className="button" data-testid="modal-close" onClick={() => close(false)}>
              {plain(view.close) || (view.submit ? "Cancel" : "Close")}
            </button>
            {view.submit && (
              <button type="submit" className={`button filled primary${sending ? " busy" : ""}`} data-testid="modal-submit" aria-busy={sending}>
                {plain(view.submit)}
              </button>
            )}
          </div>
        </form>
      </div>
    </div>
  );
}

/**
 * Focus goes to what is wrong, else to the first thing to fill in; afterwards back to where it was.
 *
 * A modal may open empty and be filled by an update, so the first thing is looked for until there is one.
 */
function useFocus(frame: React.RefObject<HTMLElement | null>, errors: string, version: string | undefined) {
  const settled = useRef(false);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    return () => before?.isConnected ? before.focus() : undefined;
  }, []);
  useEffect(() => {
    const box = frame.current;
    if (!box) return;
    const wrong = box.querySelector<HTMLElement>("[aria-invalid=true]");
    const first = box.querySelector<HTMLElement>(".frame-body :is(input, textarea, select, button)");
    if (wrong) wrong.focus();
    else if (!settled.current) {
      // What a form says stands above what it asks for, and is read first.
      (first ?? box.querySelector<HTMLElement>("[data-testid=modal-submit], [data-testid=modal-close]"))?.focus({ preventScroll: true });
    }
    settled.current ||= Boolean(first);
  }, [errors, version, frame]);
}
