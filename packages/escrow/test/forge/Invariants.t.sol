// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Escrow} from "../../contracts/Escrow.sol";
import {Base} from "./Base.sol";
import {MoodyToken, Refuser} from "./Hostile.sol";

/// @dev Twelve orders in two currencies with parties that refuse payments, moved by a seed. After each move a model
/// that knows nothing of the contract's code says whether the right people got the money.
contract Market is Base {
    uint256 internal constant ORDERS = 12;

    MoodyToken public moody;
    Escrow.Order[] internal orders;
    /// Of each order, by the model: paid in by the buyer and the seller, and gross shares paid out.
    uint256[ORDERS] internal paidIn;
    Escrow.Status[ORDERS] internal last;
    uint256[11] public reached;
    uint256 public moves;

    address[5] internal people;

    function setUp() public virtual override {
        super.setUp();
        moody = new MoodyToken();
        people = [buyer, seller, arbiter, market, stranger];
        for (uint256 i = 0; i < 3; i++) {
            moody.mint(people[i], 1e30);
            vm.deal(people[i], 1e30);
            vm.prank(people[i]);
            moody.approve(address(escrow), type(uint256).max);
        }
        for (uint256 i = 0; i < ORDERS; i++) {
            orders.push(variant(i));
        }
    }

    /// Deposits, arbiter, fees and windows in all mixtures.
    function variant(uint256 i) internal returns (Escrow.Order memory o) {
        o = makeOrder(i % 2 == 0 ? address(0) : address(moody));
        if (i % 3 == 1) o.buyerDeposit = 0;
        if (i % 4 >= 2) o.sellerDeposit = 0;
        if (i % 5 == 4) o.depositWindow = 0;
        if (i % 6 == 5) (o.arbiter, o.arbiterFeeBps) = (address(0), 0);
        if (i % 7 == 6) o.dispatchWindow = 0;
        o.amount = uint104(1 + uint256(keccak256(abi.encode(i))) % 1e12);
        o.acceptBy = uint40(block.timestamp + 3000 days);
    }

    /// One move: of some order, most often one that its status allows.
    function step(uint256 seed) public {
        moves++;
        uint256 i = seed % ORDERS;
        // Payments are refused now and then, by a token that denies the seller.
        moody.deny(seller, seed >> 8 & 7 == 0);
        if (isFinal(last[i]) && seed >> 16 & 3 == 0) {
            orders[i].termsHash = keccak256(abi.encode(seed));
            orders[i].acceptBy = uint40(block.timestamp + 3000 days);
            (last[i], paidIn[i]) = (Escrow.Status.None, 0);
        }
        Escrow.Order memory o = orders[i];
        uint256[5] memory before = worth(o.token);
        Escrow.State memory was = stateOf(o);
        (address who, uint256 value, bytes memory call) = choose(o, was, seed);
        vm.prank(who);
        (bool ok,) = address(escrow).call{value: value}(call);
        if (ok) check(i, o, was, before);
        else require(keccak256(abi.encode(was)) == keccak256(abi.encode(stateOf(o))), "a failed move left traces");
    }

    function choose(Escrow.Order memory o, Escrow.State memory s, uint256 seed)
        internal
        returns (address who, uint256 value, bytes memory call)
    {
        bool native = o.token == address(0);
        uint256 pick = seed >> 24 & 15;
        uint104 total = uint104((seed >> 32) % (uint256(o.amount) * 5 / 4 + 2));
        if (s.status == Escrow.Status.None) {
            return (buyer, native ? uint256(o.amount) + o.buyerDeposit : 0, abi.encodeCall(Escrow.fund, (o, "")));
        }
        if (s.status == Escrow.Status.Funded && pick < 10) {
            return (seller, native ? o.sellerDeposit : 0, abi.encodeCall(Escrow.accept, (o, "")));
        }
        if (s.status == Escrow.Status.Accepted && pick < 10) {
            return (seller, 0, abi.encodeCall(Escrow.dispatch, (o, "")));
        }
        if (pick == 10) return (buyer, 0, abi.encodeCall(Escrow.cancel, (o, "")));
        if (pick <= 2) return (buyer, 0, abi.encodeCall(Escrow.release, (o, pick == 0 ? o.amount : total, "")));
        if (pick <= 4) return (seller, 0, abi.encodeCall(Escrow.refund, (o, pick == 3 ? o.amount : total / 4, "")));
        if (pick <= 7 && s.status != Escrow.Status.Disputed) {
            return (pick == 5 ? seller : buyer, 0, abi.encodeCall(Escrow.dispute, (o, pick == 5 ? seller : buyer, "")));
        }
        if (pick <= 9) return (o.arbiter, 0, abi.encodeCall(Escrow.rule, (o, total, "")));
        if (pick == 11) {
            bytes memory sig = sign(SELLER_KEY, settleHash(o, total));
            return (buyer, 0, abi.encodeCall(Escrow.settle, (o, total, "", sig)));
        }
        if (pick == 12) {
            moody.deny(seller, false);
            return (seller, 0, abi.encodeCall(Escrow.withdraw, (o.token, seller)));
        }
        // Sometimes too early: it must then do nothing.
        if (pick > 13) vm.warp(block.timestamp + (seed >> 160) % 6 days);
        return (stranger, 0, abi.encodeCall(Escrow.timeout, (o)));
    }

    function check(uint256 i, Escrow.Order memory o, Escrow.State memory was, uint256[5] memory before) internal {
        Escrow.State memory s = stateOf(o);
        require(isEdge(was.status, s.status), "not an edge of the graph");
        require(s.toSeller >= was.toSeller && s.toBuyer >= was.toBuyer, "a total shrank");
        if (was.status == Escrow.Status.None) paidIn[i] += uint256(o.amount) + o.buyerDeposit;
        if (was.status == Escrow.Status.Funded && isTaken(s.status)) paidIn[i] += o.sellerDeposit;
        uint256 out = uint256(s.toSeller) + s.toBuyer;
        require(out <= paidIn[i], "more paid out than in");
        same(escrow.held(o), isFinal(s.status) ? 0 : paidIn[i] - out, "held");
        if (isFinal(s.status) && !isFinal(was.status)) same(out, paidIn[i], "not all paid out");
        if (s.status != was.status) reached[uint256(s.status)]++;
        last[i] = s.status;
        checkPeople(o, was, s, before);
    }

    /// Balance and credit together: what each person is worth in this currency.
    function checkPeople(
        Escrow.Order memory o,
        Escrow.State memory was,
        Escrow.State memory s,
        uint256[5] memory before
    ) internal view {
        uint256[5] memory afterwards = worth(o.token);
        uint256 toSeller = s.toSeller - was.toSeller;
        uint256 toBuyer = s.toBuyer - was.toBuyer;
        uint256 sellerPaid = was.status == Escrow.Status.Funded && isTaken(s.status) ? o.sellerDeposit : 0;
        uint256 buyerPaid = was.status == Escrow.Status.None ? uint256(o.amount) + o.buyerDeposit : 0;
        uint256 forArbiter = afterwards[2] - before[2];
        uint256 forMarket = afterwards[3] - before[3];
        same(afterwards[4], before[4], "an outsider was paid");
        require(forArbiter == 0 || s.status == Escrow.Status.Ruled, "an arbiter was paid without a ruling");
        require(forMarket <= (toSeller * o.feeBps + 9_999) / 10_000, "too much market fee");
        require(forArbiter <= (toSeller + toBuyer) * o.arbiterFeeBps / 10_000, "too much arbiter fee");
        uint256 buyerCut = s.status == Escrow.Status.Ruled ? toBuyer * o.arbiterFeeBps / 10_000 : 0;
        same(afterwards[0] + buyerPaid, before[0] + toBuyer - buyerCut, "buyer");
        same(afterwards[1] + sellerPaid + forMarket + forArbiter, before[1] + toSeller + buyerCut, "seller");
    }

    function worth(address currency) internal view returns (uint256[5] memory w) {
        for (uint256 i = 0; i < 5; i++) {
            w[i] = balanceOf(currency, people[i]) + escrow.credit(people[i], currency);
        }
    }

    function isTaken(Escrow.Status status) internal pure returns (bool) {
        return status == Escrow.Status.Accepted || status == Escrow.Status.Dispatched;
    }

    function isFinal(Escrow.Status status) internal pure returns (bool) {
        return status >= Escrow.Status.Released;
    }

    /// One row a status: where it may go, as a bit for each status.
    function isEdge(Escrow.Status from, Escrow.Status to) internal pure returns (bool) {
        uint16[11] memory edges = [
            // None: Funded.
            0x002,
            // Funded: itself, Accepted, Dispatched, Released, Refunded, Settled.
            0x1CE,
            // Accepted: itself, Dispatched, Holding, Released, Refunded, Settled.
            0x1DC,
            // Dispatched: itself, Holding, Disputed, Released, Refunded, Settled.
            0x1F8,
            // Holding: itself, Disputed, Released, Settled.
            0x170,
            // Disputed: itself, Released, Refunded, Settled, Ruled, Defaulted.
            0x7E0,
            0x040,
            0x080,
            0x100,
            0x200,
            0x400
        ];
        return edges[uint256(from)] >> uint256(to) & 1 == 1;
    }

    function solvent() public view {
        uint256[2] memory owed;
        for (uint256 i = 0; i < ORDERS; i++) {
            owed[orders[i].token == address(0) ? 0 : 1] += escrow.held(orders[i]);
        }
        for (uint256 i = 0; i < 5; i++) {
            owed[0] += escrow.credit(people[i], address(0));
            owed[1] += escrow.credit(people[i], address(moody));
        }
        same(address(escrow).balance, owed[0], "native");
        same(moody.balanceOf(address(escrow)), owed[1], "token");
    }
}

contract InvariantsTest is Market {
    Market private walked;

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(walked);
    }

    function setUp() public override {
        super.setUp();
        walked = new Market();
        walked.setUp();
    }

    function targetSelectors() public view returns (FuzzSelector[] memory selectors) {
        selectors = new FuzzSelector[](1);
        bytes4[] memory only = new bytes4[](1);
        only[0] = Market.step.selector;
        selectors[0] = FuzzSelector(address(walked), only);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function invariant_everything_held_is_there_and_owed() public view {
        walked.solvent();
    }

    /// A walk of many moves: random handlers alone hardly ever end an order, and prove nothing by passing.
    function test_directed_walk_reaches_every_ending_many_times() public {
        uint256 steps = vm.envOr("SOUK_WALK_STEPS", uint256(4_000));
        for (uint256 n = 0; n < steps; n++) {
            step(uint256(keccak256(abi.encode("walk", n))));
            if (n % 50 == 0) solvent();
        }
        solvent();
        for (uint256 status = 1; status <= 10; status++) {
            require(reached[status] >= 10, string.concat("rarely reached: ", vm.toString(status)));
        }
    }

    /// Partial amounts of any size: the market's fee and both totals stay exact.
    function testFuzz_parts_add_up(uint104 amount, uint104 first, uint104 second, uint16 feeBps) public {
        Escrow.Order memory o = makeOrder(address(0));
        (o.buyerDeposit, o.sellerDeposit) = (0, 0);
        o.amount = uint104(1 + uint256(amount) % (type(uint104).max - 1));
        o.feeBps = feeBps % 1_001;
        vm.deal(buyer, type(uint128).max);
        reach(o, Escrow.Status.Dispatched);
        uint256 before = seller.balance;
        vm.prank(buyer);
        (bool ok,) = address(escrow).call(abi.encodeCall(Escrow.release, (o, first % o.amount, "")));
        same(first % o.amount == 0 ? 0 : 1, ok ? 1 : 0, "first part");
        vm.prank(buyer);
        (ok,) = address(escrow).call(abi.encodeCall(Escrow.release, (o, second % o.amount, "")));
        release(o, o.amount);
        same(seller.balance - before, o.amount - uint256(o.amount) * o.feeBps / 10_000, "seller");
        same(address(escrow).balance, 0, "left");
    }
}
