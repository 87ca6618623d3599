-- One step of one worker: what it tells, then what it asks, then what it may have in advance.
-- The argument and the answer are those of service/limits/wire.py. Nothing is done in part.

local OK, STALE, STRANGER, UNKNOWN_GENERATION = 0, 1, 2, 3
local TAKEN, REFUSED, RECALLING, UNSEEDED, CLOSED = 0, 1, 2, 3, 4
local RATE, SLOTS, BUDGET = 1, 2, 3
local SHARE = 8
local RECALL_US = 200000
local QUARTER_US = 250000

local generation, owner, lane, sequence, lasts_us, leaving, cells, demands, bookings =
  unpack(cmsgpack.unpack(ARGV[1]))
local now_us = instant_us()
local id, opens, cutoff = unpack(redis.call('HMGET', GENERATION, 'id', 'opens_us', 'cutoff_us'))
if id ~= generation then return cmsgpack.pack({UNKNOWN_GENERATION}) end
local opens_us = tonumber(opens)
local PREFIX = prefix(id)
local owners, marks, account = PREFIX .. 'owners', PREFIX .. 'm:' .. owner, PREFIX .. 'o:' .. owner
if tonumber(redis.call('HGET', marks, 'sequence' .. lane) or 0) >= sequence then return cmsgpack.pack({STALE}) end
if not redis.call('ZSCORE', owners, owner) then return cmsgpack.pack({STRANGER}) end

redis.call('HSET', marks, 'sequence' .. lane, digits(sequence), 'done' .. lane, digits(sequence))
redis.call('ZADD', owners, digits(leaving and now_us or now_us + lasts_us), owner)
if note_life(owners, now_us, lasts_us) then
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', owners, '-inf', digits(now_us), 'LIMIT', 0, 4)) do reclaim(PREFIX, dead, now_us) end
end

-- 1. What the worker tells: what it still holds, what it used.

local meters = {}

local function refund(m, r)
  local unused, at_us, gone_units, gone_micro = r[1], r[4], r[5], r[6]
  local l, f = level(m, now_us, m.p)
  local d, e = drained(math.max(now_us, m.t) - at_us, m.p)
  local given_s, given_f = pair(m.gs - gone_units, m.gf - gone_micro)
  if given_s < 0 then given_s, given_f = 0, 0 end
  local back, part = pair(r[2] - d - given_s, r[3] - e - given_f)
  if less(unused, 0, back, part) then back, part = unused, 0 end
  if less(l, f, back, part) then back, part = l, f end
  if less(0, 0, back, part) then
    m.s, m.f = pair(l - back, f - part)
    m.t = math.max(now_us, m.t)
    m.gs, m.gf = pair(m.gs + back, m.gf + part)
  end
end

local function tell(m, cell)
  local granted, idle = cell[7], cell[8]
  m.h = math.max(0, m.h + granted - m.mine)
  m.i = math.max(0, m.i + idle - m.mine_idle)
  m.mine, m.mine_idle = granted, idle
  if cell[2] == RATE then
    m.p = cell[4]
    if cell[9] > 0 then add_level(m, cell[9], 0, now_us) end
    for _, r in ipairs(cell[10]) do refund(m, r) end
  elseif cell[2] == BUDGET then
    if cell[13] >= 0 and m.z == 0 then
      m.s, m.z = m.s + cell[13], 1
      if m.s >= cell[6] then m.a = 1 end
    end
    m.s = m.s + cell[9]
  end
end

local keys, fields = {}, {}
for n, cell in ipairs(cells) do
  keys[n] = PREFIX .. cell[1]
  fields[2 * n - 1], fields[2 * n] = lane .. cell[1], '~' .. lane .. cell[1]
end
local blobs = #cells > 0 and redis.call('MGET', unpack(keys)) or {}
local mine = #cells > 0 and redis.call('HMGET', account, unpack(fields)) or {}
for n, cell in ipairs(cells) do
  local m = unpacked(blobs[n])
  m.mine, m.mine_idle = tonumber(mine[2 * n - 1] or 0), tonumber(mine[2 * n] or 0)
  m.mine_before, m.idle_before = m.mine, m.mine_idle
  m.gain, m.alarm = 0, 0
  tell(m, cell)
  meters[n] = m
end

-- A count that nobody has begun, nor has anything to tell of, begins now; right after a generation has
-- begun nobody can say that, so those begin with it. What is booked and finished before is in the ledger's sum.
local function begin(n)
  local cell, m = cells[n], meters[n]
  local unheard = now_us >= opens_us and cell[7] == 0 and cell[9] == 0
  m.k = math.floor((unheard and now_us or tonumber(cutoff)) / QUARTER_US)
end

for n, cell in ipairs(cells) do
  if cell[2] == BUDGET and not blobs[n] then begin(n) end
end
for _, booking in ipairs(bookings) do
  local whose, finished_at, n, amount = unpack(booking)
  local told = whose ~= '' and redis.call('HGET', PREFIX .. 'm:' .. whose, cells[n][1])
  local m = meters[n]
  if finished_at * 4 >= m.k and not (told and tonumber(told) >= finished_at) then m.s = m.s + amount end
end

for n, cell in ipairs(cells) do
  local m = meters[n]
  if cell[2] == BUDGET and m.z == 1 and m.a == 0 and m.s >= cell[6] then m.a, m.alarm = 1, 1 end
end

-- 2. What it asks: each demand wholly or not at all.

-- Whole units that are neither used nor held; below zero where more was used than there was.
local function room(n)
  local cell, m = cells[n], meters[n]
  if cell[2] ~= RATE then return cell[3] - m.s - m.h end
  local l, f = level(m, now_us, m.p)
  return cell[3] - l - m.h - (f > 0 and 1 or 0)
end

local function take(n, ask)
  local m = meters[n]
  if cells[n][2] == RATE then
    if ask > 0 then add_level(m, ask, 0, now_us) end
    return {level(m, now_us, m.p)}
  end
  m.h, m.mine = m.h + ask, m.mine + ask
  return false
end

local answers = {}
for d, asks in ipairs(demands) do
  local refusing, unseeded, recallable = {}, {}, true
  for j = 1, #asks, 2 do
    local n = asks[j]
    if cells[n][2] == BUDGET and meters[n].z == 0 then
      unseeded[#unseeded + 1] = n
    else
      local lacking = asks[j + 1] - room(n)
      if lacking > 0 then
        refusing[#refusing + 1] = n
        recallable = recallable and meters[n].i >= lacking
      end
    end
  end
  if #unseeded > 0 then
    answers[d] = {now_us < opens_us and CLOSED or UNSEEDED, unseeded}
  elseif #refusing > 0 then
    answers[d] = {recallable and RECALLING or REFUSED, refusing}
    if recallable then
      for _, n in ipairs(refusing) do meters[n].w = now_us + RECALL_US end
    end
  else
    local tops = {}
    for j = 1, #asks, 2 do tops[#tops + 1] = take(asks[j], asks[j + 1]) end
    answers[d] = {TAKEN, tops}
  end
end

-- 3. What it may have in advance: at most an eighth of what is left, so that near the edge it is nothing.

for n, cell in ipairs(cells) do
  local m, want, piece = meters[n], cell[11], cell[12]
  if want > 0 and now_us >= m.w and (cell[2] ~= BUDGET or m.z == 1) then
    local gain = math.min(want, math.floor(room(n) / SHARE))
    if gain >= piece then
      m.h, m.i = m.h + gain, m.i + gain
      m.mine, m.mine_idle, m.gain = m.mine + gain, m.mine_idle + gain, gain
    end
  end
end

local function save(n)
  local cell, m, key = cells[n], meters[n], keys[n]
  if cell[2] == BUDGET then
    redis.call('SET', key, packed(m), 'EX', math.max(2 * DAY_SECONDS, cell[5] - math.floor(now_us / MILLION)))
  elseif cell[2] == SLOTS then
    if m.h == 0 and m.w <= now_us then redis.call('DEL', key) else redis.call('SET', key, packed(m), 'EX', DAY_SECONDS) end
  else
    -- Forgotten only when it has drained, for reservations that are still to be settled too.
    local seconds = math.ceil(math.max(m.s + 1, cell[3]) / m.p) * 60 + 60
    if m.h > 0 then seconds = math.max(seconds, DAY_SECONDS) end
    redis.call('SET', key, packed(m), 'EX', seconds)
  end
end

local states, held, freed, told = {}, {}, {}, {}
for n, cell in ipairs(cells) do
  local m = meters[n]
  save(n)
  if m.mine ~= m.mine_before or m.mine_idle ~= m.idle_before then
    if m.mine == 0 and m.mine_idle == 0 then
      freed[#freed + 1] = fields[2 * n - 1]
      freed[#freed + 1] = fields[2 * n]
    else
      held[#held + 1] = fields[2 * n - 1]
      held[#held + 1] = digits(m.mine)
      held[#held + 1] = fields[2 * n]
      held[#held + 1] = digits(m.mine_idle)
    end
  end
  if cell[9] > 0 and cell[14] > 0 then
    told[#told + 1] = cell[1]
    told[#told + 1] = string.format('%.17g', cell[14])
  end
  local others = m.h - m.mine - (m.i - m.mine_idle)
  states[n] = {m.s, m.f, m.t, m.gs, m.gf, others, m.gain, m.alarm == 1, now_us < m.w, m.k}
end
if #held > 0 then redis.call('HSET', account, unpack(held)) end
if #told > 0 then redis.call('HSET', marks, unpack(told)) end
if #freed > 0 then redis.call('HDEL', account, unpack(freed)) end
redis.call('EXPIRE', account, DAY_SECONDS)
redis.call('EXPIRE', marks, DAY_SECONDS)
redis.call('EXPIRE', owners, DAY_SECONDS)
return cmsgpack.pack({OK, now_us, redis.call('ZCARD', owners), states, answers})
