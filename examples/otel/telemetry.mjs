// OpenTelemetry with a Prometheus exporter: what a host agent sets up before it opens a network. Spans
// go where the agent's other spans go; here they are only counted.
import { metrics, trace } from "@opentelemetry/api";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

/**
 * Serves the metrics on this port of the loopback; 0 chooses one. To be called before openNetwork: the
 * instruments are made there.
 * @param {number} port
 */
export async function startTelemetry(port) {
  const exporter = new PrometheusExporter({ host: "127.0.0.1", port, preventServerStart: true });
  const meters = new MeterProvider({ readers: [exporter] });
  let spans = 0;
  const counting = {
    onStart() {},
    onEnd() {
      spans++;
    },
    async forceFlush() {},
    async shutdown() {},
  };
  const tracers = new BasicTracerProvider({ spanProcessors: [counting] });
  metrics.setGlobalMeterProvider(meters);
  trace.setGlobalTracerProvider(tracers);
  await exporter.startServer();
  return {
    spans: () => spans,
    async stop() {
      await Promise.all([meters.shutdown(), tracers.shutdown()]);
    },
  };
}
