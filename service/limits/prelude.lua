-- What both scripts share: names of keys, time, and amounts that outgrow a double.
-- Amounts of rates are pairs (whole units, micro-units below a million): in micro-units alone they
-- would pass 2^53, where Lua's only numbers stop being exact.

local GENERATION = KEYS[1]
local MILLION = 1000000
local DAY_SECONDS = 86400

local function digits(number)
  return string.format('%.0f', number)
end

local function prefix(id)
  return '{penstock}:' .. id .. ':'
end

-- ARGV[2] is the time in microseconds where a test owns it, else 0.
local function instant_us()
  if ARGV[2] ~= '0' then return tonumber(ARGV[2]) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * MILLION + tonumber(time[2])
end

local function pair(units, micro)
  local carried = math.floor(micro / MILLION)
  return units + carried, micro - carried * MILLION
end

local function less(units, micro, other_units, other_micro)
  return units < other_units or (units == other_units and micro < other_micro)
end

-- elapsed_us * per_minute / 60 micro-units, rounded down, with no product above 2^53:
-- per_minute = a * 10^6 + b, and whole minutes apart.
local function drained(elapsed_us, per_minute)
  if elapsed_us <= 0 then return 0, 0 end
  local minutes = math.floor(elapsed_us / 60000000)
  local rest_us = elapsed_us - minutes * 60000000
  local a = math.floor(per_minute / MILLION)
  local b = per_minute - a * MILLION
  local units = math.floor(rest_us * a / 60)
  local left = rest_us * a - units * 60
  return pair(minutes * per_minute + units, math.floor((left * MILLION + rest_us * b) / 60))
end

-- The level of a bucket (fields s, f, at t) at now_us.
local function level(bucket, now_us, per_minute)
  local units, micro = drained(now_us - bucket.t, per_minute)
  if not less(units, micro, bucket.s, bucket.f) then return 0, 0 end
  return pair(bucket.s - units, bucket.f - micro)
end

-- A worker that has not been heard of until its deadline is dead, and what it held is given back. After a
-- silence of all of them it was this server that was away: then everybody has a whole term to come back.
local function note_life(owners, now_us, lasts_us)
  local seen, spare = unpack(redis.call('HMGET', GENERATION, 'seen_us', 'spare_us'))
  local spare_us = tonumber(spare or 0)
  if not seen or now_us - tonumber(seen) > lasts_us / 2 then
    spare_us = now_us + lasts_us
    redis.call('HSET', GENERATION, 'spare_us', digits(spare_us))
  end
  redis.call('HSET', GENERATION, 'seen_us', digits(now_us))
  return now_us >= spare_us
end

-- A meter is an array: s spent (budgets) or whole units of the level (rates), f its micro-units, t its instant,
-- gs and gf all that was ever refunded, p the rate, h held, i what of that lies idle in workers' hands,
-- w until when nobody may have anything in advance, z whether the ledger's sum is in s, a whether it alarmed,
-- k the quarter of a second from which on s counts: what finished before is in the ledger's sum.
-- Fields of an owner: what it holds of h, by its lane and the meter's key; of i, by '~' and those. A lane is
-- a sequence of steps that a worker keeps apart: '' or '+'. Marks of an owner: its sequences, and by a budget's
-- key the latest `finished_at` that it has told of.

local FRESH = cmsgpack.pack({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})

local function unpacked(blob)
  local v = cmsgpack.unpack(blob or FRESH)
  return {s = v[1], f = v[2], t = v[3], h = v[4], i = v[5], w = v[6], z = v[7], a = v[8], gs = v[9], gf = v[10], p = v[11], k = v[12]}
end

local function packed(m)
  return cmsgpack.pack({m.s, m.f, m.t, m.h, m.i, m.w, m.z, m.a, m.gs, m.gf, m.p, m.k})
end

local function add_level(m, units, micro, now_us)
  local l, f = level(m, now_us, m.p)
  m.s, m.f = pair(l + units, f + micro)
  m.t = math.max(now_us, m.t)
end

-- What a dead worker held in advance of a rate it may have used: it counts as used.
local function reclaim(base, dead, now_us)
  local mine = redis.call('HGETALL', base .. 'o:' .. dead)
  for n = 1, #mine, 2 do
    local idle = string.sub(mine[n], 1, 1) == '~'
    local key = string.match(mine[n], '^[~+]*(.*)$')
    local amount = tonumber(mine[n + 1])
    local blob = amount > 0 and redis.call('GET', base .. key)
    if blob then
      local m = unpacked(blob)
      if idle then
        m.i = math.max(0, m.i - amount)
      else
        m.h = math.max(0, m.h - amount)
        if m.p > 0 then add_level(m, amount, 0, now_us) end
      end
      redis.call('SET', base .. key, packed(m), 'KEEPTTL')
    end
  end
  redis.call('DEL', base .. 'o:' .. dead)
  redis.call('ZREM', base .. 'owners', dead)
end
