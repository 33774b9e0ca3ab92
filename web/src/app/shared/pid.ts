import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';

import { Cluster } from '../cluster/cluster';

/** The PID of a worker, in the colour of its place in the cluster. */
@Component({
  selector: 'app-pid',
  host: { class: 'pid', '[attr.data-slot]': 'slot()' },
  template: '{{ pid() }}',
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Pid {
  readonly pid = input.required<number>();

  private readonly cluster = inject(Cluster);
  protected readonly slot = computed(() => this.cluster.slot(this.pid()));
}
