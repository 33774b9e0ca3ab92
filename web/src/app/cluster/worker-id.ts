/** What tells a worker from every other one: each container has PIDs of its own, and equal ones are common. */
export interface WorkerId {
  readonly host: string;
  readonly pid: number;
}

/** A key for maps. */
export function keyOf({ host, pid }: WorkerId): string {
  return `${host} ${pid}`;
}

/** Whether both are one worker. */
export function isSame(one: WorkerId | null, other: WorkerId): boolean {
  return one?.host === other.host && one.pid === other.pid;
}
