import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { timeOfDay } from '../shared/format';
import type { ProcessEvent } from '../types';

const SHOWN = 100;

/** What happened to the processes, newest first. */
@Component({
  selector: 'app-event-log',
  template: `
    <ol class="events" tabindex="0" aria-label="Events">
      @for (event of newest(); track event.id) {
        <li [attr.data-kind]="event.kind">
          <time>{{ time(event.time) }}</time>
          <strong>{{ event.process }}</strong>
          <span class="kind">{{ event.kind }}</span>
          <span class="figure">{{ event.pid ?? '' }}</span>
        </li>
      } @empty {
        <li class="empty">Nothing yet</li>
      }
    </ol>
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class EventLog {
  readonly events = input.required<readonly ProcessEvent[]>();

  protected readonly time = timeOfDay;
  protected readonly newest = computed(() => this.events().slice(-SHOWN).reverse());
}
