// The host agent's OpenTelemetry SDK runs inside our calls: its exporters, processors and views.

/**
 * Tells telemetry something. What the SDK throws is dropped: a TAP that was deleted stays deleted
 * when nobody could count it, and the jobs behind it go on.
 */
export function harmless(tell: () => void): void {
  try {
    tell();
  } catch {
    // The SDK has diagnostics of its own for it.
  }
}
