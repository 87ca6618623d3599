-- A worker joins, or comes back after a failure. Argument: [owner, new, sequence, lasts_us, lag_us, flush_us].
-- Answer: [id, cutoff_us, opens_us, now_us, sequence of the last exchange done, known (1 or 0)]; [] to one that comes too late.
--
-- A generation is the time for which counts were kept without a gap. Another run of the server begins
-- another one, even if it has kept its data: a snapshot is older than what was promised since.

local owner, new, sequence, lasts_us, lag_us, flush_us = unpack(cmsgpack.unpack(ARGV[1]))
local now_us = instant_us()
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or 'unknown'
local id, known_run, cutoff, opens = unpack(redis.call('HMGET', GENERATION, 'id', 'run', 'cutoff_us', 'opens_us'))
local cutoff_us, opens_us = tonumber(cutoff), tonumber(opens)
if not id or known_run ~= run then
  id = digits(now_us) .. '-' .. string.sub(run, 1, 8)
  -- Whole quarters of a second, as workers keep their counts.
  cutoff_us = math.ceil((now_us + lag_us) / 250000) * 250000
  opens_us = cutoff_us + flush_us
  redis.call('DEL', GENERATION)
  redis.call('HSET', GENERATION, 'id', id, 'run', run, 'cutoff_us', digits(cutoff_us), 'opens_us', digits(opens_us))
end
local marks, owners = prefix(id) .. 'm:' .. owner, prefix(id) .. 'owners'
local previous, done = unpack(redis.call('HMGET', marks, 'sequence', 'done'))
if tonumber(previous or 0) >= sequence then return cmsgpack.pack({}) end
note_life(owners, now_us, lasts_us)
-- What an earlier start of the same name held.
if new then reclaim(prefix(id), owner, now_us) end
local known = redis.call('ZSCORE', owners, owner) and 1 or 0
redis.call('HSET', marks, 'sequence', digits(sequence))
redis.call('EXPIRE', marks, DAY_SECONDS)
redis.call('ZADD', owners, digits(now_us + lasts_us), owner)
redis.call('EXPIRE', owners, DAY_SECONDS)
return cmsgpack.pack({id, cutoff_us, opens_us, now_us, tonumber(done or 0), known})
