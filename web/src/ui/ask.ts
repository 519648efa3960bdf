// A question that is asked again and again while a page is open; the newest answer stands until the next one comes.

import { useEffect, useRef, useState } from "preact/hooks";

export interface Asked<T> {
  value: T | null;
  error: unknown;
  busy: boolean;
  again: () => void;
}

/** Ask at once, when `key` changes, and every `everyMs` (0: never again) while the page is in sight. */
export function useAsked<T>(ask: (signal: AbortSignal) => Promise<T>, key: string, everyMs = 0): Asked<T> {
  const [found, setFound] = useState<{ key: string; value: T | null; error: unknown }>({ key: "", value: null, error: null });
  const [busy, setBusy] = useState(false);
  const [turn, setTurn] = useState(0);
  const how = useRef(ask);
  how.current = ask;
  useEffect(() => {
    const ended = new AbortController();
    let timer = 0;
    const run = async (): Promise<void> => {
      setBusy(true);
      try {
        const value = await how.current(ended.signal);
        if (!ended.signal.aborted) setFound({ key, value, error: null });
      } catch (error) {
        if (!ended.signal.aborted) setFound((before) => ({ key, value: before.key === key ? before.value : null, error }));
      } finally {
        if (!ended.signal.aborted) {
          setBusy(false);
          if (everyMs) timer = window.setTimeout(later, everyMs);
        }
      }
    };
    const later = (): void => {
      if (document.hidden) timer = window.setTimeout(later, 1000);
      else void run();
    };
    void run();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs, turn]);
  const mine = found.key === key;
  return { value: mine ? found.value : null, error: mine ? found.error : null, busy, again: () => setTurn((n) => n + 1) };
}
