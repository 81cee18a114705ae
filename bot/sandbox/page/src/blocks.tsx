/**
 * Block Kit on the page.
 *
 * Text and interactive elements are ours (the library calls nothing when they are used, and parses text that Slack
 * would not); rich_text, markdown, video, charts and the rest are drawn by slack-blocks-to-jsx.
 */
import { memo, useId } from "react";
import { Boundary } from "./boundary";
import { Control, Overflow } from "./controls";
import { plain } from "./desk";
import { blockId, firstState, isStateful } from "./elements";
import type { Host } from "./host";
import { Library, Text } from "./rich";
import { ownAddress } from "./route";
import type { Block, BlockElement, Option, TextObject } from "./types";

interface Place {
  host: Host;
  block: string;
}

export function Blocks({ blocks, host }: { blocks: Block[]; host: Host }) {
  return blocks.map((block, index) => {
    const id = blockId(block, index);
    return (
      <div key={id} className={`block block-${block.type}`} data-block-id={id} data-block-type={block.type}>
        <Boundary instead={<span className="unknown">The sandbox could not draw this {block.type} block.</span>}>
          <Drawn block={block} place={{ host, block: id }} />
        </Boundary>
      </div>
    );
  });
}

function Drawn({ block, place }: { block: Block; place: Place }) {
  switch (block.type) {
    case "header": return <h3 className="header">{plain(block.text)}</h3>;
    case "divider": return <hr />;
    case "section": return <Section block={block} place={place} />;
    case "context": return <Context elements={block.elements ?? []} />;
    case "actions": return <Actions elements={block.elements ?? []} place={place} />;
    case "input": return <Input block={block} place={place} />;
    case "image": return <Picture block={block} />;
    case "alert": return <Alert block={block} />;
    case "card": return <Card block={block} place={place} />;
    case "table":
    case "data_table": return <Table block={block} />;
    case "container": return <Container block={block} place={place} />;
    default: return <Library block={block} />;
  }
}

function Section({ block, place }: { block: Block; place: Place }) {
  const fields = block.fields as TextObject[] | undefined;
  return (
    <div className="section">
      <div className="section-text">
        {block.text && <Text text={block.text} />}
        {fields && <div className="fields">{fields.map((field, index) => <div key={index}><Text text={field} /></div>)}</div>}
      </div>
      {block.accessory && <div className="accessory"><Interactive element={block.accessory} place={place} /></div>}
    </div>
  );
}

function Context({ elements }: { elements: BlockElement[] }) {
  return (
    <div className="context">
      {elements.map((element, index) =>
        element.type === "image" ? <Picture key={index} block={element as unknown as Block} /> : <Text key={index} text={element as unknown as TextObject} />)}
    </div>
  );
}

const Actions = ({ elements, place }: { elements: BlockElement[]; place: Place }) => (
  <div className="actions">
    {elements.map((element, index) => <Interactive key={element.action_id ?? index} element={element} place={place} />)}
  </div>
);

/** An element that tells the bot as soon as it is used. */
function Interactive({ element, place: { host, block } }: { element: BlockElement; place: Place }) {
  const busy = host.busy === `${block}/${element.action_id}`;
  if (element.type === "image") return <Picture block={element as unknown as Block} />;
  if (element.type === "button") return <Button element={element} busy={busy} onClick={() => host.act(block, element, { value: element.value })} />;
  if (element.type === "overflow") {
    const choose = (option: Option) => {
      if (option.url) open(option.url, "_blank", "noopener");
      host.act(block, element, { selected_option: option });
    };
    return <Overflow element={element} busy={busy} onChoose={choose} />;
  }
  return (
    <span className={busy ? "waiting" : undefined}>
      <Control
        element={element}
        state={host.read(block, element)}
        onChange={(state, typing) => (typing ? host.hold(block, element, state) : host.act(block, element, state))}
        onEnter={(state) => host.act(block, element, state)}
      />
    </span>
  );
}

function Button({ element, busy, onClick }: { element: BlockElement; busy: boolean; onClick: () => void }) {
  return (
    <button
      type="button"
      className={`button ${element.style ?? ""}${busy ? " busy" : ""}`}
      aria-label={element.accessibility_label}
      aria-busy={busy}
      data-action-id={element.action_id}
      data-value={element.value}
      onClick={() => busy || onClick()}
    >
      {plain(element.text)}
    </button>
  );
}

/** A labelled input, with its hint and the bot's complaint about it. */
function Input({ block, place }: { block: Block; place: Place }) {
  const id = useId();
  const element = block.element ?? { type: "nothing" };
  const problem = place.host.errors[place.block];
  const group = element.type === "radio_buttons" || element.type === "checkboxes";
  const Label = group ? "div" : "label";
  const dispatches = Boolean(block.dispatch_action);
  return (
    <div className={`input${problem ? " input-bad" : ""}`}>
      <Label id={`${id}-label`} htmlFor={group ? undefined : id} className="label">
        {plain(block.label)} {block.optional && <span className="optional">(optional)</span>}
      </Label>
      <Control
        element={element}
        id={group ? undefined : id}
        labelledBy={`${id}-label`}
        describedBy={[problem && `${id}-problem`, block.hint && `${id}-hint`].filter(Boolean).join(" ") || undefined}
        invalid={Boolean(problem)}
        state={isStateful(element) ? place.host.read(place.block, element) : firstState(element)}
        onChange={(state, typing) => (dispatches && !typing ? place.host.act(place.block, element, state) : place.host.hold(place.block, element, state))}
        onEnter={dispatches ? (state) => place.host.act(place.block, element, state) : undefined}
      />
      {problem && <p id={`${id}-problem`} className="problem" role="alert">{problem}</p>}
      {block.hint && <p id={`${id}-hint`} className="hint">{plain(block.hint)}</p>}
    </div>
  );
}

function Picture({ block }: { block: Block }) {
  const file = block.slack_file as { id?: string; url?: string } | undefined;
  const source = (block.image_url as string | undefined) ?? file?.url ?? `/files/${file?.id}`;
  return (
    <figure className="picture">
      {block.title ? <figcaption>{plain(block.title as TextObject)}</figcaption> : null}
      <img src={ownAddress(source)} alt={(block.alt_text as string) ?? ""} loading="lazy" />
    </figure>
  );
}

const asText = (text: unknown): TextObject | null =>
  typeof text === "string" ? { type: "plain_text", text } : ((text as TextObject | undefined) ?? null);

function Alert({ block }: { block: Block }) {
  const text = asText(block.text);
  const level = (block.level as string | undefined) ?? "default";
  return <div className={`alert alert-${level}`} role="note">{text && <Text text={text} />}</div>;
}

function Card({ block, place }: { block: Block; place: Place }) {
  const hero = block.hero_image as Block | undefined;
  const parts = (["title", "subtitle", "body", "subtext"] as const).map((part) => [part, asText(block[part])] as const);
  return (
    <div className="card">
      {hero && <Picture block={hero} />}
      {parts.map(([part, text]) => text && <div key={part} className={`card-${part}`}><Text text={text} /></div>)}
      {Array.isArray(block.actions) && <Actions elements={block.actions as BlockElement[]} place={place} />}
    </div>
  );
}

function Container({ block, place }: { block: Block; place: Place }) {
  const title = asText(block.title);
  return (
    <div className="card">
      {title && <div className="card-title"><Text text={title} /></div>}
      <Blocks blocks={(block.child_blocks as Block[] | undefined) ?? []} host={place.host} />
    </div>
  );
}

interface Cell {
  type: string;
  text?: string;
  value?: unknown;
  elements?: unknown[];
}

/** `table` and `data_table`. Cells are text that nothing parses, or rich_text. */
const Table = memo(function Table({ block }: { block: Block }) {
  const rows = (block.rows as Cell[][] | undefined) ?? [];
  const settings = (block.column_settings as ({ align?: "left" | "center" | "right" } | null)[] | undefined) ?? [];
  const [head, ...body] = rows;
  const cells = (row: Cell[], Tag: "th" | "td") =>
    row.map((cell, index) => (
      <Tag key={index} style={{ textAlign: settings[index]?.align }} scope={Tag === "th" ? "col" : undefined}>
        {cell.type === "rich_text" ? <Library block={cell as unknown as Block} /> : String(cell.text ?? cell.value ?? "")}
      </Tag>
    ));
  return (
    <div className="table" role="region" tabIndex={0} aria-label={asText(block.caption)?.text ?? "Table"}>
      <table>
        {block.caption ? <caption>{asText(block.caption)?.text}</caption> : null}
        {head && <thead><tr>{cells(head, "th")}</tr></thead>}
        <tbody>{body.map((row, index) => <tr key={index}>{cells(row, "td")}</tr>)}</tbody>
      </table>
    </div>
  );
});

