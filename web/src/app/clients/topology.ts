import {
  ChangeDetectionStrategy,
  Component,
  computed,
  DestroyRef,
  effect,
  inject,
  signal,
  untracked,
} from '@angular/core';

import { Cluster } from '../cluster/cluster';
import { isSame, type WorkerId } from '../cluster/worker-id';
import { hostWidth } from '../shared/width';
import { Clients } from './clients';

const HEIGHT = 268;
const CLIENT_Y = 26;
const NGINX_Y = 92;
const WORKER_Y = 156;
const FORWARDER_Y = 246;
const WORKER_WIDTH = 116;
const GAP = 10;
/** Milliseconds a pulse takes from the worker where it begins to every client; see topology.css. */
const PULSE = 1500;

/** The path of a push: clients, nginx, workers, forwarder, as they are connected now. */
@Component({
  selector: 'app-topology',
  host: { class: 'topology' },
  template: `
    <svg
      [attr.viewBox]="'0 0 ' + width() + ' ' + height"
      [attr.height]="height"
      role="img"
      [attr.aria-label]="story()"
    >
      @for (link of links(); track link.key) {
        <path class="link" [attr.d]="link.d" [attr.data-slot]="link.slot" />
      }
      @for (pulse of pulses(); track pulse.key) {
        @for (leg of pulse.legs; track $index) {
          <path
            class="pulse"
            pathLength="100"
            [attr.d]="leg.d"
            [attr.data-leg]="leg.number"
            [attr.data-slot]="pulse.slot"
          />
        }
      }
      <rect class="band" x="0" [attr.y]="nginxY - 11" [attr.width]="width()" height="22" rx="11" />
      <text class="band-label" [attr.x]="width() / 2" [attr.y]="nginxY">nginx · one port</text>
      @for (client of clients(); track client.name) {
        <g
          class="client"
          [attr.data-slot]="client.slot"
          [attr.transform]="'translate(' + client.x + ' ' + clientY + ')'"
        >
          <circle r="18" />
          <text>{{ client.name }}</text>
        </g>
      }
      @for (worker of workers(); track worker.key) {
        <g
          class="worker"
          [attr.data-slot]="worker.slot"
          [class.down]="worker.id === null"
          [attr.transform]="'translate(' + worker.x + ' ' + workerY + ')'"
        >
          <rect
            [attr.x]="-worker.width / 2"
            y="-22"
            [attr.width]="worker.width"
            height="44"
            rx="8"
          />
          <text y="-7" class="name">{{ worker.name }}</text>
          <text y="10" class="number">{{ worker.id?.pid ?? 'down' }}</text>
        </g>
      }
      <g
        class="forwarder"
        [class.down]="!bus().up"
        [attr.transform]="'translate(' + width() / 2 + ' ' + forwarderY + ')'"
      >
        <rect x="-76" y="-16" width="152" height="32" rx="8" />
        <text>{{ bus().name }}</text>
      </g>
    </svg>
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Topology {
  protected readonly height = HEIGHT;
  protected readonly clientY = CLIENT_Y;
  protected readonly nginxY = NGINX_Y;
  protected readonly workerY = WORKER_Y;
  protected readonly forwarderY = FORWARDER_Y;

  private readonly cluster = inject(Cluster);
  private readonly store = inject(Clients);
  protected readonly width = hostWidth(720);
  protected readonly pulses = signal<readonly Pulse[]>([]);

  protected readonly workers = computed(() => {
    const rows = this.cluster.rows().filter((row) => row.role === 'worker');
    const share = this.width() / rows.length;
    return rows.map((row, index) => ({
      key: row.key,
      name: row.name,
      id: row.id,
      slot: row.id && this.cluster.slot(row.id),
      x: share * (index + 0.5),
      width: Math.min(WORKER_WIDTH, share - GAP),
    }));
  });

  /** What joins the workers; another bus than the forwarder is not one of the processes. */
  protected readonly bus = computed(() => {
    const forwarder = this.cluster.rows().find((row) => row.role === 'forwarder');
    if (!forwarder) return { up: true, name: 'message bus' };
    const up = forwarder.pid !== null;
    return { up, name: up ? 'ZeroMQ forwarder' : 'forwarder is down' };
  });

  protected readonly clients = computed(() => {
    const clients = this.store.list();
    return clients.map((client, index) => {
      const worker = client.state() === 'connected' ? client.worker() : null;
      return {
        name: client.name,
        worker,
        slot: worker && this.cluster.slot(worker),
        x: (this.width() / clients.length) * (index + 0.5),
      };
    });
  });

  protected readonly links = computed(() => [
    ...this.workers().map((worker) => ({
      key: `forwarder ${worker.key}`,
      slot: null,
      d: this.toForwarder(worker.x),
    })),
    ...this.clients().flatMap((client) => {
      const worker = this.placeOf(client.worker);
      return worker
        ? [{ key: `client ${client.name}`, slot: worker.slot, d: toClient(worker.x, client.x) }]
        : [];
    }),
  ]);

  protected readonly story = computed(() => {
    const bound = this.clients().map(({ name, worker }) =>
      worker
        ? `Client ${name} is connected to worker ${worker.pid} on ${worker.host}.`
        : `Client ${name} is connecting.`,
    );
    return `${bound.join(' ')} nginx stands between clients and workers; a message bus joins the workers.`;
  });

  constructor() {
    const timers = new Set<ReturnType<typeof setTimeout>>();
    inject(DestroyRef).onDestroy(() => timers.forEach(clearTimeout));

    let shown = untracked(this.store.newest)?.position.offset;
    effect(() => {
      const push = this.store.newest();
      if (!push || push.position.offset === shown) return;
      shown = push.position.offset;
      const pulse = untracked(() => this.pulse(push.from, push.position.offset));
      if (!pulse) return;
      this.pulses.update((pulses) => [...pulses, pulse]);
      const timer = setTimeout(() => {
        timers.delete(timer);
        this.pulses.update((pulses) => pulses.filter((other) => other !== pulse));
      }, PULSE);
      timers.add(timer);
    });
  }

  /** Where a worker is drawn. */
  private placeOf(worker: WorkerId | null) {
    return worker && this.workers().find(({ id }) => isSame(id, worker));
  }

  private pulse(from: WorkerId, key: number): Pulse | null {
    const origin = this.placeOf(from);
    if (!origin) return null;
    return {
      key,
      slot: origin.slot,
      legs: [
        { number: 1, d: this.toForwarder(origin.x) },
        ...this.workers()
          .filter((worker) => worker.id !== null)
          .map((worker) => ({ number: 2, d: this.fromForwarder(worker.x) })),
        ...this.clients().flatMap((client) => {
          const worker = this.placeOf(client.worker);
          return worker ? [{ number: 3, d: toClient(worker.x, client.x) }] : [];
        }),
      ],
    };
  }

  private toForwarder(x: number): string {
    return curve(x, WORKER_Y + 22, this.width() / 2, FORWARDER_Y - 16);
  }

  private fromForwarder(x: number): string {
    return curve(this.width() / 2, FORWARDER_Y - 16, x, WORKER_Y + 22);
  }
}

interface Pulse {
  readonly key: number;
  readonly slot: number | null;
  readonly legs: readonly { readonly number: number; readonly d: string }[];
}

function toClient(worker: number, client: number): string {
  return curve(worker, WORKER_Y - 22, client, CLIENT_Y + 18);
}

/** A curve that leaves and arrives upright. */
function curve(x1: number, y1: number, x2: number, y2: number): string {
  const middle = (y1 + y2) / 2;
  return `M${x1} ${y1}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2}`;
}
