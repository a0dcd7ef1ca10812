#!lua
-- Short ids for sessions, unique among those claimed (contract §5, field 7).
--
-- KEYS  1: `ns:short`, a hash that holds each claim both ways: digits -> session id, and `=` .. session id -> digits;
--       behind these a blank and who is about to give them back, see retire.lua.
-- ARGV  1: how many digits; 2: a random number to begin looking from; then session id, the short id it had or ''.
-- Gives for each a short id, or '' where none was found.

local CHUNK = 4000           -- `unpack` takes some 8,000 values.
local WIDE = 500             -- Fields looked at in one call, where ids are scarce.
local TRIES = 100000         -- Fields looked at for one session before it goes without, some 20 ms.
local STRIDE = 61803         -- From one claim to the next: ids that follow each other are easily confused when read out.

local digits = tonumber(ARGV[1])
local capacity = 10 ^ digits
local format = '%0' .. digits .. 'd'
local from = tonumber(ARGV[2]) % capacity
local exhausted = false

local function get_all(fields)
  local values = {}
  for first = 1, #fields, CHUNK do
    local some = redis.call('HMGET', KEYS[1], unpack(fields, first, math.min(first + CHUNK - 1, #fields)))
    for i = 1, #some do values[first + i - 1] = some[i] end
  end
  return values
end

local changes = {}           -- Field, value, and so on: written at the end.
local taken = {}             -- Digits that this run gives away.
local short_id_of = {}       -- By session id.

local function change(field, value)
  changes[#changes + 1] = field
  changes[#changes + 1] = value
end

local function give(session, short)
  taken[short], short_id_of[session] = true, short
  change(short, session)
  change('=' .. session, short)
end

local function find_free()
  local looked_at = 0
  local wide = 8             -- Where ids are scarce the strides grow.
  while looked_at < math.min(TRIES, capacity) do
    local fields = {}
    for i = 1, wide do fields[i] = string.format(format, (from + i - 1) % capacity) end
    local holders = redis.call('HMGET', KEYS[1], unpack(fields))
    for i = 1, wide do
      if not holders[i] and not taken[fields[i]] then
        from = (from + i - 1 + STRIDE) % capacity
        return fields[i]
      end
    end
    from, looked_at = (from + wide) % capacity, looked_at + wide
    wide = math.min(2 * wide, WIDE)
  end
  exhausted = true
end

-- Those that hold one. A claim takes back that it is about to be given back.

local fields = {}
for i = 3, #ARGV, 2 do fields[#fields + 1] = '=' .. ARGV[i] end
local held = get_all(fields)
local without = {}           -- Places in ARGV.
for i = 1, #fields do
  local session = ARGV[2 * i + 1]
  if held[i] then
    local short = string.match(held[i], '^%d+')
    if short ~= held[i] then change(fields[i], short) end
    short_id_of[session] = short
  else
    without[#without + 1] = 2 * i + 1
  end
end

-- Those that hold none: the one it had, or a number of its own; mostly that is free.

local proposed = {}
for i, place in ipairs(without) do
  if #ARGV[place + 1] == digits then
    proposed[i] = ARGV[place + 1]
  else
    proposed[i] = string.format(format, from)
    from = (from + STRIDE) % capacity
  end
end
local holders = get_all(proposed)
for i, place in ipairs(without) do
  local session, short = ARGV[place], proposed[i]
  if not short_id_of[session] then
    if holders[i] or taken[short] then short = not exhausted and find_free() end
    if short then give(session, short) end
  end
end

for first = 1, #changes, CHUNK do
  redis.call('HSET', KEYS[1], unpack(changes, first, math.min(first + CHUNK - 1, #changes)))
end
local claimed = {}
for i = 3, #ARGV, 2 do claimed[#claimed + 1] = short_id_of[ARGV[i]] or '' end
return claimed
