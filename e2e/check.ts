// What a scenario tells: rows of the report. The run is green when every row holds.

/** Something that was configured, and what was measured of it. */
export interface Check {
  scenario: string;
  guest: string;
  configured: string;
  measured: string;
  holds: boolean;
}

/** Frames that a guest sent and should not have, or (the controls) may. */
export interface Attempt {
  what: string;
  sent: number;
  /** By the guard at the guest's TAP, for any reason. */
  dropped: number;
  /** The counter that grew; "" when none did. */
  reason: string;
  /** The host may be sent this: only guests must not see it. */
  mayReachHost: boolean;
  atHost: number;
  atPeers: number;
  holds: boolean;
}
