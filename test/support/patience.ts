// How long tests wait. For what should come: long enough for a slow or busy machine, since the wait ends when it is
// there. For what should not come: as long as a control takes that should, whatever the machine.

/** Tests pass on a machine that is this much slower, or busier, than one of its own. */
const SLOWER = 4;
/** Of an emulated machine, for which kernel-vm.sh sets it. */
const EMULATED = Number(process.env.FORKNET_PATIENCE ?? 1);
/** Long enough for an answer in one machine. */
const SILENCE_MS = 500;
const LONGEST_SILENCE_MS = 60_000;

/**
 * How long to wait for what takes `milliseconds` at most on a machine of its own. Only for waits that end when it is
 * there, and for time-outs.
 */
export function patiently(milliseconds: number): number {
  return milliseconds * SLOWER * EMULATED;
}

/**
 * What `look` finds within so many milliseconds of something that should not come. Nothing counts only when `control`,
 * which should come, does so in the same time: otherwise the machine was too busy to tell, and both are asked again
 * with twice the time. Throws when the control does not come at all.
 */
export async function lookBeside<Found>(
  control: (withinMs: number) => Promise<boolean>,
  look: (withinMs: number) => Promise<Found | undefined>,
): Promise<Found | undefined> {
  for (let withinMs = SILENCE_MS; withinMs <= LONGEST_SILENCE_MS; withinMs *= 2) {
    const found = await look(withinMs);
    if (found !== undefined) return found;
    const startMs = performance.now();
    // The control's own time-out may be late, too.
    if ((await control(withinMs)) && performance.now() - startMs <= withinMs) return undefined;
  }
  throw new Error("The control does not come either");
}
