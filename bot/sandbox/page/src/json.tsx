/** JSON as a tree that folds, by native `details`. */
const OPEN_DEPTH = 3;
const FOLDED_LENGTH = 24;

function Leaf({ value }: { value: unknown }) {
  const kind = value === null ? "null" : typeof value;
  return <span className={`json-${kind}`}>{JSON.stringify(value) ?? "undefined"}</span>;
}

export function Json({ value, name, depth = 0 }: { value: unknown; name?: string; depth?: number }) {
  const label = name === undefined ? null : <span className="json-key">{name}: </span>;
  if (typeof value !== "object" || value === null) return <div className="json-line">{label}<Leaf value={value} /></div>;
  const entries = Object.entries(value);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (!entries.length) return <div className="json-line">{label}{open}{close}</div>;
  return (
    <details className="json-node" open={depth < OPEN_DEPTH && entries.length <= FOLDED_LENGTH}>
      <summary>{label}<span className="json-brace">{open}</span><span className="json-count"> {entries.length} </span><span className="json-brace json-end">{close}</span></summary>
      <div className="json-children">
        {entries.map(([key, held]) => <Json key={key} name={key} value={held} depth={depth + 1} />)}
      </div>
      <span className="json-brace json-close">{close}</span>
    </details>
  );
}
