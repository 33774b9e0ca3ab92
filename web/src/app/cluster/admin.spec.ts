import { TestBed } from '@angular/core/testing';

import { Admin } from './admin';

describe('the admin token', () => {
  const fetched = vi.fn();

  beforeEach(() => {
    sessionStorage.clear();
    fetched.mockReset().mockResolvedValue({ ok: true, status: 204 });
    vi.stubGlobal('fetch', fetched);
  });

  afterEach(() => {
    vi.unstubAllGlobals();
    history.replaceState(null, '', '/');
  });

  it('is not there at first', () => {
    expect(TestBed.inject(Admin).authorized()).toBe(false);
    expect(fetched).not.toHaveBeenCalled();
  });

  it('is kept when the cluster takes it', async () => {
    const admin = TestBed.inject(Admin);
    expect(await admin.enter('right')).toBeNull();
    expect(admin.authorized()).toBe(true);
    expect(sessionStorage.getItem('admin-token')).toBe('right');
  });

  it('is refused when the cluster does not', async () => {
    fetched.mockResolvedValue({ ok: false, status: 403 });
    const admin = TestBed.inject(Admin);
    expect(await admin.enter('wrong')).toContain('not the admin token');
    expect(admin.authorized()).toBe(false);
    expect(sessionStorage.getItem('admin-token')).toBeNull();
  });

  it('is taken from the address, and does not stay there', async () => {
    history.replaceState(null, '', '/cluster#token=right');
    const admin = TestBed.inject(Admin);
    await vi.waitFor(() => expect(admin.authorized()).toBe(true));
    expect(location.href).not.toContain('token');
    expect(location.pathname).toBe('/cluster');
  });

  it('goes with every action, which names the host it is meant for', async () => {
    const admin = TestBed.inject(Admin);
    await admin.enter('right');
    expect(await admin.act('here', 'api-0', 'kill')).toBeNull();
    expect(fetched).toHaveBeenLastCalledWith('/api/cluster/processes/api-0/kill?host=here', {
      method: 'POST',
      headers: { Authorization: 'Bearer right' },
    });
  });

  it('does not help where another host answers, which says so itself', async () => {
    const admin = TestBed.inject(Admin);
    await admin.enter('right');
    const detail = 'there answered, but api-0 of here was meant';
    fetched.mockResolvedValue({ ok: false, status: 409, json: async () => ({ detail }) });
    expect(await admin.act('here', 'api-0', 'kill')).toBe(detail);
  });

  it('can be given up', async () => {
    const admin = TestBed.inject(Admin);
    await admin.enter('right');
    admin.leave();
    expect(admin.authorized()).toBe(false);
    expect(sessionStorage.getItem('admin-token')).toBeNull();
  });
});
