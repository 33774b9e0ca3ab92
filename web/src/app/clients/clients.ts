import { computed, inject, Injectable, signal, untracked } from '@angular/core';

import { Cluster } from '../cluster/cluster';
import { isSame, keyOf, type WorkerId } from '../cluster/worker-id';
import type { Room } from '../wire/transport';
import { type TransportKind, TRANSPORTS } from '../wire/transports';
import { Client, type Surroundings } from './client';

export const ROOM: Room = 'chat:lobby';
export const MOST = 8;
const NAMES = 'ABCDEFGH';

/** The clients of this page. They live on when another view is shown. */
@Injectable({ providedIn: 'root' })
export class Clients {
  private readonly cluster = inject(Cluster);
  private readonly all = signal<readonly Client[]>([]);

  readonly list = this.all.asReadonly();
  readonly full = computed(() => this.all().length >= MOST);
  /** The newest push any of them received. */
  readonly newest = computed(() =>
    this.all()
      .flatMap((client) => client.pushes().slice(0, 1))
      .filter((push) => !push.recovered)
      .sort((a, b) => b.position.offset - a.position.offset)
      .at(0),
  );

  private readonly surroundings: Surroundings = {
    open: (kind) => TRANSPORTS[kind].open,
    crowded: (worker, client) => {
      const taken = new Set(
        this.others(client)
          .map((other) => other.worker())
          .filter((other) => other !== null)
          .map(keyOf),
      );
      return taken.has(keyOf(worker)) && this.isThereOneThat((other) => !taken.has(keyOf(other)));
    },
    alternatives: (worker) => this.isThereOneThat((other) => !isSame(other, worker)),
    contiguous: () => untracked(this.cluster.report)?.contiguous ?? true,
  };

  constructor() {
    this.add('websocket');
    this.add('websocket');
  }

  add(kind: TransportKind): void {
    const used = new Set(this.all().map((client) => client.name));
    const name = [...NAMES].find((name) => !used.has(name));
    if (!name) return;
    const client = untracked(() => new Client(name, ROOM, kind, this.surroundings));
    this.all.update((clients) => [...clients, client]);
  }

  remove(client: Client): void {
    client.close();
    this.all.update((clients) => clients.filter((other) => other !== client));
  }

  /** Whether there is such a worker; before any is known, it is worth a try. */
  private isThereOneThat(wanted: (worker: WorkerId) => boolean): boolean {
    const workers = untracked(this.cluster.workers);
    return workers.length === 0 || workers.some(wanted);
  }

  private others(client: Client): Client[] {
    return untracked(this.all).filter((other) => other !== client);
  }
}
