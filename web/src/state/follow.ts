// The live place of one device, by events. A taxi comes by the tab's own stream. An e-bike, and whatever is older than the live
// window, comes by a stream that was opened with the purpose under which it may be seen: it ends with the page that shows it.

import { useEffect, useState } from "preact/hooks";
import { address, post } from "../api/client";
import { Stream } from "../api/stream";
import type { Positions } from "../api/types";
import { fleet, fleetRevision, placeOf, type Place } from "./fleet";
import { watchView } from "./link";

/** Nothing but what is followed is asked for: where the box lies does not matter. */
const NOWHERE = { bbox: [0, 0, 0.01, 0.01] as [number, number, number, number], zoom: 15, kinds: [] as string[] };

/** Where a device of the live map is now; undefined: not live. */
export function useLive(device: string): Place | undefined {
  useEffect(() => {
    watchView({ ...NOWHERE, follow: [device] });
    return () => watchView(null);
  }, [device]);
  void fleetRevision.value;
  return fleet.get(device);
}

/** Where it is under a purpose; "" asks nothing. */
export function useLiveUnder(purpose: string, device: string): { place: Place | null; gone: number } {
  const [found, setFound] = useState<{ of: string; place: Place | null }>({ of: "", place: null });
  /** How often it was taken away: what allowed it may be over. */
  const [gone, setGone] = useState(0);
  useEffect(() => {
    if (!purpose) return undefined;
    let had = false;
    const stream: Stream = new Stream(
      (query) => new EventSource(address("/events", { ...query, purpose }), { withCredentials: true }),
      { now: () => performance.now(), after: (ms, then) => window.setTimeout(then, ms), cancel: (timer) => window.clearTimeout(timer) },
      {
        hello(hello) {
          post(`/events/${encodeURIComponent(hello.stream)}/viewport`, { ...NOWHERE, follow: [device] }, { verb: "PUT" }).catch(() => undefined);
        },
        positions(positions: Positions) {
          const row = positions.devices.find((one) => one[0] === device);
          if (row) {
            had = true;
            setFound({ of: device, place: placeOf(row, positions.at_ms) });
          } else if (had && (positions.all || positions.gone.includes(device))) {
            had = false;
            setFound({ of: device, place: null });
            setGone((n) => n + 1);
          }
        },
      },
    );
    stream.start();
    return () => stream.stop();
  }, [purpose, device]);
  return { place: purpose && found.of === device ? found.place : null, gone };
}
