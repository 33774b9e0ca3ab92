import { computed, Injectable, signal } from '@angular/core';

export type Action = 'restart' | 'kill';

const KEY = 'admin-token';

/** The admin token, and what its holder may do. It comes from the visitor or from `#token=…` in the address. */
@Injectable({ providedIn: 'root' })
export class Admin {
  private readonly token = signal('');

  readonly authorized = computed(() => this.token() !== '');

  constructor() {
    this.readFragment();
    addEventListener('hashchange', () => this.readFragment());
  }

  /** Take a token if it is the right one; otherwise why not. */
  async enter(token: string): Promise<string | null> {
    const problem = await this.ask('GET', '/api/cluster/admin', token);
    if (problem === null) {
      sessionStorage.setItem(KEY, token);
      this.token.set(token);
    }
    return problem;
  }

  leave(): void {
    sessionStorage.removeItem(KEY);
    this.token.set('');
  }

  /** Restart or kill a process of `host`, and of no other one that may answer; null, or what went wrong. */
  async act(host: string, process: string, action: Action): Promise<string | null> {
    const query = new URLSearchParams({ host });
    const path = `/api/cluster/processes/${encodeURIComponent(process)}/${action}?${query}`;
    return this.ask('POST', path, this.token());
  }

  private readFragment(): void {
    const given = new URLSearchParams(location.hash.slice(1)).get('token');
    // The address is seen, kept and shared; the token must not be in it.
    if (given !== null)
      history.replaceState(history.state, '', location.pathname + location.search);
    const token = given ?? sessionStorage.getItem(KEY);
    if (token) void this.enter(token);
  }

  private async ask(method: string, path: string, token: string): Promise<string | null> {
    try {
      const answer = await fetch(path, { method, headers: { Authorization: `Bearer ${token}` } });
      return answer.ok ? null : await problem(answer);
    } catch {
      return 'The cluster does not answer.';
    }
  }
}

async function problem(answer: Response): Promise<string> {
  switch (answer.status) {
    case 403:
      return 'This is not the admin token of this cluster.';
    case 404:
      return 'There is no such process.';
    case 409:
      // Which host answered only it can tell.
      return ((await answer.json()) as { detail: string }).detail;
    case 429:
      return 'Too many attempts. Wait a little.';
    case 503:
      return 'No supervisor runs these processes.';
    default:
      return `The cluster answers ${answer.status}.`;
  }
}
