// How much longer than here a test may wait where everything takes longer: in an emulated machine, for which kernel-vm.sh
// sets FORKNET_PATIENCE. What a test expects stays the same.

const PATIENCE = Number(process.env.FORKNET_PATIENCE ?? 1);

/** How long to wait for what takes `milliseconds` at most on a machine of its own. */
export function patiently(milliseconds: number): number {
  return milliseconds * PATIENCE;
}
