import { Injectable, signal } from '@angular/core';
import type { ClientInfo } from 'centrifuge';

import { sdkClient } from '../wire/sdk-transport';

const INTERVAL = 2000;

/** Who is on a channel, as the cluster tells a client of the SDK that does not join it. */
@Injectable()
export class Presence {
  private readonly client = sdkClient('websocket');
  private timer: ReturnType<typeof setInterval> | undefined;

  /** null as long as it is not known. */
  readonly present = signal<readonly ClientInfo[] | null>(null);

  /** Look at `channel` until `stop`. */
  watch(channel: string): void {
    const look = () => void this.look(channel);
    this.client.on('connected', look).connect();
    this.timer = setInterval(look, INTERVAL);
  }

  stop(): void {
    clearInterval(this.timer);
    this.client.disconnect();
  }

  private async look(channel: string): Promise<void> {
    try {
      const { clients } = await this.client.presence(channel);
      const infos = Object.values(clients);
      this.present.set(infos.sort((a, b) => a.client.localeCompare(b.client)));
    } catch {
      // Not connected now, or not allowed: what was seen last stays until it can be seen again.
    }
  }
}
