#!lua
-- One shard's part of a turn, written all or not at all (design §3, step 4).
--
-- The first line says that the server is to refuse the script as a whole where it may not write (out of memory, a
-- replica, no quorum of replicas), before any of it ran.
--
-- KEYS  1: `ns:{shard}:pos`. All others are beside it, under the same hash tag and so on the same node; a cluster has
--       them named here as well, those of records first. They are not read from here: each is a string to be made.
-- ARGV  1: the request, msgpack of `Request` in redis_request.py; then key and record of each track to write, then the
--       keys of those that are only compared.
-- Gives {what became of it, positions, ...}: see the three `return`s. Positions: partition, "offset clock", and so on.

local TOKEN_BYTES = 12 -- A record begins with its token.
local CHUNK = 4000     -- `unpack` takes some 8,000 values.
local ANSWER_MAX = 1000

local request = cmsgpack.unpack(ARGV[1])
local base = string.sub(KEYS[1], 1, -4)

local function due_of(partition) return base .. 'due:' .. partition end
local function note_of(partition) return base .. 'note:' .. partition end
local numbers_key = base .. 'noted'
local function token_of(key) return redis.call('GETRANGE', key, 0, TOKEN_BYTES - 1) end
local function track_has(track, token) return token_of(base .. 't:' .. track) == token end

-- Calls a command that takes any number of values; CHUNK is even, so pairs stay together.
local function call_wide(command, key, values, option)
  for first = 1, #values, CHUNK do
    local some = {unpack(values, first, math.min(first + CHUNK - 1, #values))}
    if option then table.insert(some, 1, option) end
    redis.call(command, key, unpack(some))
  end
end

-- a. Is every position as this worker left it, and has nobody else's gone down?

local offsets, clocks = {}, {}
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local offset, clock = string.match(stored[i + 1], '^(%d+) (%-?%d+)$')
  offsets[tonumber(stored[i])], clocks[tonumber(stored[i])] = tonumber(offset), tonumber(clock)
end

for i = 1, #request.expected, 2 do
  if (offsets[request.expected[i]] or -1) ~= request.expected[i + 1] then
    return {'overtaken', stored}
  end
end
for i = 1, #request.seen, 2 do
  if (offsets[request.seen[i]] or -1) < request.seen[i + 1] then
    return {'overtaken', stored}
  end
end

-- b. Is every track the one that was folded from? If not: its place in the request and what is stored, for each.
--    Where nobody else wrote any since, only those have to be looked at that this worker has not had confirmed before.

local by_key = base .. 'by'
local by = redis.call('GET', by_key) or ''
local same = by ~= '' and by == request.by
local written, changed = request.written, {}

local function compare(i)
  local key = i <= written and ARGV[2 * i] or ARGV[written + 1 + i]
  local token = string.sub(request.tokens, (i - 1) * TOKEN_BYTES + 1, i * TOKEN_BYTES)
  if token_of(key) ~= (token == request.absent and '' or token) then
    changed[#changed + 1] = i
    changed[#changed + 1] = redis.call('GET', key)
  end
end

if same then
  for _, i in ipairs(request.unsure) do compare(i) end
else
  for i = 1, #request.tokens / TOKEN_BYTES do compare(i) end
end
if #changed > 0 then
  return {'conflict', stored, changed}
end

-- c. What was published is cleared first, while the tracks still are as they were then.

for i = 1, #request.clear_notes, 3 do
  local partition, track, token = unpack(request.clear_notes, i, i + 2)
  if track_has(track, token) then
    redis.call('ZREM', note_of(partition), track)
  end
end

for _, moved in ipairs(request.move_due) do
  local track, token, partition, at, to_partition, to_at = unpack(moved)
  local fires = redis.call('ZSCORE', due_of(partition), track)
  if fires and tonumber(fires) <= at and track_has(track, token) then
    if to_partition ~= partition then
      redis.call('ZREM', due_of(partition), track)
    end
    if to_partition then
      redis.call('ZADD', due_of(to_partition), to_at, track)
    end
  end
end

-- Records, deadlines, notes.

for first = 2, 2 * written, CHUNK do
  redis.call('MSET', unpack(ARGV, first, math.min(first + CHUNK - 1, 2 * written + 1)))
end
for _, gone in ipairs(request.due_gone) do
  call_wide('ZREM', due_of(gone[1]), gone[2])
end
for _, set in ipairs(request.due_set) do
  call_wide('ZADD', due_of(set[1]), set[2], 'LT')  -- An earlier one has something left to do, and is moved after.
end
for _, noted in ipairs(request.notes) do
  local number, numbered = string.format('%.0f', redis.call('HINCRBY', numbers_key, noted[1], 1)), {}
  for _, track in ipairs(noted[2]) do
    numbered[#numbered + 1] = number
    numbered[#numbered + 1] = track
  end
  call_wide('ZADD', note_of(noted[1]), numbered)
end

-- Positions and clocks, never lowered.

for i = 1, #request.positions, 3 do
  local partition, offset, clock = unpack(request.positions, i, i + 2)
  offset = math.max(offset, offsets[partition] or offset)
  clock = math.max(clock, clocks[partition] or clock)
  redis.call('HSET', KEYS[1], partition, string.format('%.0f %.0f', offset, clock))
end
stored = redis.call('HGETALL', KEYS[1])

-- Tracks no longer held. In whose deadlines and notes they are is not known here: mostly the sweeper's own.

local swept = {}
for i = 1, #request.sweep, 2 do
  local track, token = request.sweep[i], request.sweep[i + 1]
  if track_has(track, token) then
    redis.call('UNLINK', base .. 't:' .. track)
    swept[#swept + 1] = track
  end
end
local function forget(partition)
  call_wide('ZREM', due_of(partition), swept)
  call_wide('ZREM', note_of(partition), swept)
end
if written > 0 or #swept > 0 then
  by = request.token
  redis.call('SET', by_key, by)
end
if #swept > 0 then
  for i = 1, #request.seen, 2 do forget(request.seen[i]) end
  for i = 1, #request.expected, 2 do forget(request.expected[i]) end
end

-- What waits for this worker: {partition, tracks}, and {partition, track, ms, track, ms, ...}. Of those that it asks for:
-- partition, number of the oldest note, number of the newest, and so on.

local notes, due = {}, {}
for i = 1, #request.clocks, 2 do
  local partition, clock = request.clocks[i], string.format('(%.0f', request.clocks[i + 1])
  local noted = redis.call('ZRANGE', note_of(partition), 0, ANSWER_MAX - 1)
  if #noted > 0 then
    notes[#notes + 1] = {partition, noted}
  end
  local fired = redis.call('ZRANGEBYSCORE', due_of(partition), '-inf', clock, 'WITHSCORES', 'LIMIT', 0, ANSWER_MAX)
  if #fired > 0 then
    due[#due + 1] = {partition, fired}
  end
end
local waiting = {}
for _, partition in ipairs(request.asks) do
  local oldest = redis.call('ZRANGE', note_of(partition), 0, 0, 'WITHSCORES')
  if oldest[2] then
    waiting[#waiting + 1] = partition
    waiting[#waiting + 1] = oldest[2]
    waiting[#waiting + 1] = redis.call('HGET', numbers_key, partition)
  end
end
return {'saved', stored, by, same and 1 or 0, notes, due, waiting}
