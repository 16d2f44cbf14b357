// Shell for inside a guest.

/** Prints the MAC and the IPv4 address of its interface, a line each. */
export const MAC_AND_IP =
  "cat /sys/class/net/eth0/address; " +
  "ip -o -4 address show eth0 | sed 's/.* inet \\([0-9.]*\\).*/\\1/'";

/** Lines as words. */
export function words(output: string): string {
  return output.split("\n").join(" ");
}
