/** How figures and times are written, everywhere the same. */

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

/** Milliseconds since 1970 as a time of day, to the second. */
export function timeOfDay(ms: number): string {
  return clock.format(ms);
}

/** Seconds, as `42 s`, `3 min 05 s`, `2 h 07 min`, `3 d 4 h`. */
export function duration(seconds: number): string {
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${pad(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${pad(Math.floor((s % 3600) / 60))} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** Milliseconds, with as many digits as mean something. */
export function milliseconds(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(0)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** A count or a rate, as `0`, `7.5`, `950`, `12.4k`. */
export function amount(value: number): string {
  if (value >= 1_000_000) return `${(value / 1_000_000).toFixed(1)}M`;
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  return value > 0 && value < 10 && !Number.isInteger(value) ? value.toFixed(1) : value.toFixed(0);
}

export function percent(value: number): string {
  return `${value.toFixed(value < 10 ? 1 : 0)} %`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(0)} MB`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
