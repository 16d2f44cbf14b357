// Where in a firewall of others the accept rules of a network belong: just before what drops whatever
// no rule has decided, so that every rule of the operator comes first. Pure.

/** What a rule does to every packet that comes to it. */
export type Effect =
  /** It is for some packets only, or decides nothing. */
  | { kind: "pass" }
  /** It decides nothing, and only counts or writes a log. */
  | { kind: "note"; logs: boolean }
  | { kind: "drop" }
  /** It accepts, or leaves it to a program: later rules see nothing. */
  | { kind: "end" }
  | { kind: "return" }
  | { kind: "go"; target: string; isGoto: boolean };

/** The rules of others, by chain. */
export type Chains = ReadonlyMap<string, readonly Effect[]>;

export interface Place {
  chain: string;
  /** So many rules of others of that chain come before. */
  after: number;
}

/** Undefined: what no rule decides is accepted, or something else decides about it. */
export function findPlace(chains: Chains, base: string, drops: boolean): Place | undefined {
  const end = follow(chains, base);
  if (end === "decided") return undefined;
  if (end !== "returns") return end;
  return drops ? before(chains, base, rulesOf(chains, base).length) : undefined;
}

/** The way of a packet that no condition is about. The kernel has no loops of chains. */
function follow(chains: Chains, chain: string): Place | "decided" | "returns" {
  for (const [at, rule] of rulesOf(chains, chain).entries()) {
    if (rule.kind === "drop") return before(chains, chain, at);
    if (rule.kind === "end") return "decided";
    if (rule.kind === "return") return "returns";
    if (rule.kind !== "go") continue;
    const end = follow(chains, rule.target);
    if (end !== "returns" || rule.isGoto) return end;
  }
  return "returns";
}

/** What is logged there is what is dropped: accepted packets do not belong in that log. */
function before(chains: Chains, chain: string, at: number): Place {
  const rules = rulesOf(chains, chain);
  let place = at;
  for (let i = at; i > 0; i--) {
    const note = noteOf(chains, rules[i - 1] as Effect);
    if (!note) break;
    if (note.logs) place = i - 1;
  }
  return { chain, after: place };
}

/** Undefined for a rule that may decide something. */
function noteOf(chains: Chains, rule: Effect): { logs: boolean } | undefined {
  if (rule.kind === "note") return rule;
  if (rule.kind !== "go" || rule.isGoto) return undefined;
  const notes = rulesOf(chains, rule.target).map((one) =>
    one.kind === "return" ? { logs: false } : noteOf(chains, one),
  );
  if (notes.includes(undefined)) return undefined;
  return { logs: notes.some((note) => note?.logs) };
}

function rulesOf(chains: Chains, chain: string): readonly Effect[] {
  return chains.get(chain) ?? [];
}
