import type { Routes } from '@angular/router';

import { ClientsPage } from './clients/clients-page';

const NAME = 'FastAPI WebSocket Sync';

export const routes: Routes = [
  { path: '', pathMatch: 'full', component: ClientsPage, title: NAME },
  {
    path: 'cluster',
    loadComponent: () => import('./cluster/cluster-page').then((file) => file.ClusterPage),
    title: `Cluster · ${NAME}`,
  },
  {
    path: 'load',
    loadComponent: () => import('./load/load-page').then((file) => file.LoadPage),
    title: `Load · ${NAME}`,
  },
  { path: '**', redirectTo: '' },
];
