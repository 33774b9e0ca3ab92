"""The scripts that Redis runs for the bus: each is one step, so every worker sees one order.

Under the prefix, which is a hash of epoch, server run and highest offset, there are for each channel and epoch:
`t` a hash of its top and how long it keeps, `s` a stream whose entries are `OFFSET-MILLISECOND`, and `i` hashes of the
ids published in two minutes. Offsets of a channel have no holes. All of it expires when nobody needs it any more.
"""

from __future__ import annotations

COMMON = """
local root, fresh, durable = KEYS[1], ARGV[1], ARGV[2]
local REMEMBERED, IDS = 86400000, 120000  -- ms: a channel's top, one generation of ids
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function info(section, name) return redis.call('INFO', section):match(name .. ':([^\\r\\n]*)') end

-- Another run of the server has the log only if nothing can be missing at its end: not from a snapshot, nor
-- from a replica. Otherwise a new epoch begins.
local known = redis.call('HMGET', root, 'epoch', 'run', 'max')
local epoch, max, run = known[1], tonumber(known[3] or 0), info('server', 'run_id')
if known[2] ~= run then
    if not (epoch and durable == '1' and info('persistence', 'aof_enabled') == '1'
            and info('replication', 'role') == 'master'
            and not info('replication', 'master_replid2'):find('[^0]')) then
        epoch, max = fresh, 0
    end
    redis.call('HSET', root, 'epoch', epoch, 'run', run, 'max', text(max))
end
local function key(kind, channel) return root .. ':' .. epoch .. ':' .. kind .. ':' .. channel end

-- Where a channel stands. One that is not known begins above every offset there was, also of forgotten ones.
local function find(channel)
    local t = key('t', channel)
    local found = redis.call('HMGET', t, 'top', 'keep')
    if found[1] then
        redis.call('PEXPIRE', t, math.max(REMEMBERED, tonumber(found[2])))
        return tonumber(found[1]), tonumber(found[2])
    end
    redis.call('DEL', key('s', channel))
    redis.call('HSET', t, 'top', text(max), 'keep', 0)
    redis.call('PEXPIRE', t, REMEMBERED)
    return max, 0
end

-- Let go of what is older than `keep` ms.
local function trim(s, top, keep)
    local function is_old(offset)
        local entry = redis.call('XRANGE', s, text(offset), text(offset), 'COUNT', 1)[1]
        return not entry or tonumber(entry[1]:match('-(%d+)')) < now - keep
    end
    local low, high = top - redis.call('XLEN', s) + 1, top + 1
    if low == high or not is_old(low) then return end
    while low < high do
        local middle = math.floor((low + high) / 2)
        if is_old(middle) then low = middle + 1 else high = middle end
    end
    redis.call('XTRIM', s, 'MINID', text(low))
end
"""

PUBLISH = (
    COMMON
    + """
-- ARGV from 4 on: channel, id, publications kept, ms kept, frame; for each publication. Returns the epoch and offsets.
local answer, order, due = {epoch}, {}, {}
local generation = math.floor(now / IDS)
for i = 4, #ARGV, 5 do
    local channel, id, frame = ARGV[i], ARGV[i + 1], ARGV[i + 4]
    local size, keep = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
    local ids = key('i' .. generation, channel)
    local offset = redis.call('HGET', ids, id) or redis.call('HGET', key('i' .. generation - 1, channel), id)
    if not offset then
        offset = find(channel) + 1
        max = math.max(max, offset)
        local t, s = key('t', channel), key('s', channel)
        redis.call('HSET', t, 'top', text(offset), 'keep', text(keep))
        redis.call('PEXPIRE', t, text(math.max(REMEMBERED, keep)))
        redis.call('HSET', ids, id, text(offset))
        redis.call('PEXPIRE', ids, 2 * IDS)
        if size > 0 then
            redis.call('XADD', s, 'MAXLEN', size, text(offset) .. '-' .. text(now), 'f', frame)
            redis.call('PEXPIRE', s, text(keep))
            if offset % 16 == 0 then trim(s, offset, keep) end
        else
            redis.call('DEL', s)
        end
        if not due[channel] then
            due[channel] = {epoch .. ' ' .. text(offset) .. ' '}
            order[#order + 1] = channel
        end
        table.insert(due[channel], frame)
    end
    answer[#answer + 1] = tonumber(offset)
end
redis.call('HSET', root, 'max', text(max))
for _, channel in ipairs(order) do
    redis.call('PUBLISH', ARGV[3] .. channel, table.concat(due[channel]))
end
return answer
"""
)

TOPS = (
    COMMON
    + """
-- ARGV from 3 on: channels. Returns the epoch and their tops.
local answer = {epoch}
for i = 3, #ARGV do answer[#answer + 1] = (find(ARGV[i])) end
return answer
"""
)

READ = (
    COMMON
    + """
-- ARGV from 3 on: channel, epoch and offset to begin after (no epoch: the oldest kept), count.
-- Returns epoch, top, whether nothing is missing, the first offset, frames.
local channel, from, since, count = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local s, top, keep = key('s', channel), find(channel)
trim(s, top, keep)
local start = top - redis.call('XLEN', s)
local complete = from == '' or (from == epoch and start <= since and since <= top)
local first = (complete and from ~= '') and since + 1 or start + 1
local answer, bytes, offset = {epoch, top, complete and 1 or 0, first}, 0, first
while offset <= top and offset - first < count and bytes < 1048576 do
    local entries = redis.call('XRANGE', s, text(offset), '+', 'COUNT', math.min(32, count - (offset - first)))
    -- Whoever else has deleted entries has left a hole: then nothing here can be relied upon.
    if #entries == 0 then return {epoch, top, 0, top + 1} end
    for _, entry in ipairs(entries) do
        if tonumber(entry[1]:match('^%d+')) ~= offset then return {epoch, top, 0, top + 1} end
        answer[#answer + 1] = entry[2][2]
        bytes = bytes + #entry[2][2]
        offset = offset + 1
    end
end
return answer
"""
)

CLEAR = (
    COMMON
    + """
find(ARGV[3])
redis.call('DEL', key('s', ARGV[3]))
"""
)
