import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';

import { Cluster } from '../cluster/cluster';
import type { WorkerId } from '../cluster/worker-id';

/** The PID of a worker, in the colour of its place in the cluster. */
@Component({
  selector: 'app-pid',
  host: { class: 'pid', '[attr.data-slot]': 'slot()', '[title]': '"on " + worker().host' },
  template: '{{ worker().pid }}',
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Pid {
  readonly worker = input.required<WorkerId>();

  private readonly cluster = inject(Cluster);
  protected readonly slot = computed(() => this.cluster.slot(this.worker()));
}
