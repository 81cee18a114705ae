/** Slack's confirmation dialog: asked before anything is sent, so a denied one leaves no trace on the wire. */
import { createContext, useCallback, useContext, useEffect, useRef, useState } from "react";
import { plain } from "./desk";
import { Text } from "./rich";
import type { Confirmation } from "./types";

type Ask = (confirmation: Confirmation) => Promise<boolean>;

const AskContext = createContext<Ask>(async () => false);

export const useAsk = () => useContext(AskContext);

export function ConfirmProvider({ children }: { children: React.ReactNode }) {
  const [asked, setAsked] = useState<{ confirmation: Confirmation; answer: (yes: boolean) => void } | null>(null);
  const ask = useCallback<Ask>(
    (confirmation) =>
      new Promise((resolve) =>
        setAsked({ confirmation, answer: (yes) => (setAsked(null), resolve(yes)) })),
    [],
  );
  return (
    <AskContext value={ask}>
      {children}
      {asked && <Confirm confirmation={asked.confirmation} answer={asked.answer} />}
    </AskContext>
  );
}

function Confirm({ confirmation, answer }: { confirmation: Confirmation; answer: (yes: boolean) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const yes = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
    yes.current?.focus();
  }, []);
  const { title, text, confirm, deny, style } = confirmation;
  return (
    <dialog
      ref={dialog}
      className="frame confirm"
      role="alertdialog"
      aria-labelledby="confirm-title"
      aria-describedby="confirm-text"
      data-testid="confirm"
      onCancel={(event) => (event.preventDefault(), answer(false))}
    >
      <h2 id="confirm-title">{plain(title) || "Are you sure?"}</h2>
      <div id="confirm-text" className="confirm-text">{text && <Text text={text} />}</div>
      <div className="frame-foot">
        <button type="button" className="button" data-testid="confirm-deny" onClick={() => answer(false)}>
          {plain(deny) || "Cancel"}
        </button>
        <button
          type="button"
          ref={yes}
          className={`button filled ${style === "danger" ? "danger" : "primary"}`}
          data-testid="confirm-yes"
          onClick={() => answer(true)}
        >
          {plain(confirm) || "Yes"}
        </button>
      </div>
    </dialog>
  );
}
