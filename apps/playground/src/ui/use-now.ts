import { useEffect, useState } from 'preact/hooks';

/** The time in milliseconds since the epoch, updated every `ms` milliseconds while `isRunning`. */
export function useNow(ms: number, isRunning: boolean): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!isRunning) return;
    const timer = setInterval(() => setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms, isRunning]);
  return now;
}
