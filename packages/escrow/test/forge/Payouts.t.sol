// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Escrow} from "../../contracts/Escrow.sol";
import {Base} from "./Base.sol";

/// @dev Every ending, in native coin and in a token, exact to the unit. The figures are worked out by hand from
/// docs/protocol/escrow.md: price 1,000,003, deposits 301 and 203, market 2.5 %, arbiter 5 %, default 33.33 %.
contract PayoutsTest is Base {
    address internal currency;
    uint256[4] private before;

    function test_cancel() public each {
        Escrow.Order memory o = start(Escrow.Status.Funded);
        vm.prank(buyer);
        escrow.cancel(o, "");
        ended(o, Escrow.Status.Refunded, 0, 0, 0, 0);
    }

    function test_cancel_after_part_release() public each {
        Escrow.Order memory o = start(Escrow.Status.Funded);
        release(o, 400_000);
        vm.prank(buyer);
        escrow.cancel(o, "");
        ended(o, Escrow.Status.Refunded, -400_000, 390_000, 0, 10_000);
    }

    function test_never_accepted() public each {
        Escrow.Order memory o = start(Escrow.Status.Funded);
        timeout(o);
        ended(o, Escrow.Status.Refunded, 0, 0, 0, 0);
    }

    function test_declined() public each {
        Escrow.Order memory o = start(Escrow.Status.Funded);
        refund(o, AMOUNT);
        ended(o, Escrow.Status.Refunded, 0, 0, 0, 0);
    }

    function test_released_unaccepted() public each {
        Escrow.Order memory o = start(Escrow.Status.Funded);
        release(o, AMOUNT);
        ended(o, Escrow.Status.Released, -1_000_003, 975_003, 0, 25_000);
    }

    function test_settled_unaccepted() public each {
        Escrow.Order memory o = start(Escrow.Status.Funded);
        settle(o, 600_000);
        ended(o, Escrow.Status.Settled, -600_000, 585_000, 0, 15_000);
    }

    function test_never_dispatched() public each {
        Escrow.Order memory o = start(Escrow.Status.Accepted);
        timeout(o);
        ended(o, Escrow.Status.Refunded, 203, -203, 0, 0);
    }

    function test_released_before_dispatch() public each {
        Escrow.Order memory o = start(Escrow.Status.Accepted);
        release(o, AMOUNT);
        sameStatus(stateOf(o).status, Escrow.Status.Holding);
        timeout(o);
        ended(o, Escrow.Status.Released, -1_000_003, 975_003, 0, 25_000);
    }

    function test_released() public each {
        Escrow.Order memory o = start(Escrow.Status.Dispatched);
        release(o, AMOUNT);
        same(escrow.held(o), 504, "held");
        same(stateOf(o).deadline, block.timestamp + 4 days, "deadline");
        timeout(o);
        ended(o, Escrow.Status.Released, -1_000_003, 975_003, 0, 25_000);
    }

    function test_released_without_deposit_window() public each {
        Escrow.Order memory o = prepare();
        o.depositWindow = 0;
        reach(o, Escrow.Status.Dispatched);
        release(o, AMOUNT);
        ended(o, Escrow.Status.Released, -1_000_003, 975_003, 0, 25_000);
    }

    function test_released_by_silence() public each {
        Escrow.Order memory o = start(Escrow.Status.Dispatched);
        timeout(o);
        sameStatus(stateOf(o).status, Escrow.Status.Holding);
        timeout(o);
        ended(o, Escrow.Status.Released, -1_000_003, 975_003, 0, 25_000);
    }

    function test_many_releases_cost_the_fee_of_one() public each {
        Escrow.Order memory o = start(Escrow.Status.Dispatched);
        for (uint104 total = 33_333; total < AMOUNT; total += 33_333) {
            release(o, total);
        }
        release(o, type(uint104).max);
        timeout(o);
        ended(o, Escrow.Status.Released, -1_000_003, 975_003, 0, 25_000);
    }

    function test_refunded() public each {
        Escrow.Order memory o = start(Escrow.Status.Dispatched);
        refund(o, AMOUNT);
        ended(o, Escrow.Status.Refunded, 0, 0, 0, 0);
    }

    function test_part_released_then_refunded() public each {
        Escrow.Order memory o = start(Escrow.Status.Dispatched);
        release(o, 400_000);
        refund(o, AMOUNT);
        ended(o, Escrow.Status.Refunded, -400_000, 390_000, 0, 10_000);
    }

    function test_discount_then_released() public each {
        Escrow.Order memory o = start(Escrow.Status.Dispatched);
        refund(o, 100_003);
        release(o, AMOUNT);
        timeout(o);
        ended(o, Escrow.Status.Released, -900_000, 877_500, 0, 22_500);
    }

    function test_ruled_for_the_buyer() public each {
        Escrow.Order memory o = start(Escrow.Status.Disputed);
        rule(o, 0);
        ended(o, Escrow.Status.Ruled, -49_822, -203, 50_025, 0);
    }

    function test_ruled_for_the_seller() public each {
        Escrow.Order memory o = start(Escrow.Status.Disputed);
        rule(o, 1_000_507);
        ended(o, Escrow.Status.Ruled, -1_000_304, 925_279, 50_025, 25_000);
    }

    function test_ruled_in_between() public each {
        Escrow.Order memory o = start(Escrow.Status.Disputed);
        rule(o, 500_000);
        ended(o, Escrow.Status.Ruled, -524_822, 462_303, 50_025, 12_494);
    }

    function test_ruled_below_what_was_released() public each {
        Escrow.Order memory o = start(Escrow.Status.Dispatched);
        release(o, 400_000);
        dispute(o);
        rule(o, 100);
        ended(o, Escrow.Status.Ruled, -429_822, 389_797, 30_025, 10_000);
    }

    function test_ruled_above_what_was_refunded() public each {
        Escrow.Order memory o = start(Escrow.Status.Dispatched);
        refund(o, 400_000);
        dispute(o);
        rule(o, 1_000_507);
        ended(o, Escrow.Status.Ruled, -600_304, 555_279, 30_025, 15_000);
    }

    function test_deposit_ruled_for_the_seller() public each {
        Escrow.Order memory o = start(Escrow.Status.Holding);
        dispute(o);
        rule(o, 1_000_507);
        ended(o, Escrow.Status.Ruled, -1_000_304, 975_279, 25, 25_000);
    }

    function test_nobody_ruled() public each {
        Escrow.Order memory o = start(Escrow.Status.Disputed);
        timeout(o);
        ended(o, Escrow.Status.Defaulted, -333_300, 324_968, 0, 8_332);
    }

    function test_nobody_ruled_on_the_deposits() public each {
        Escrow.Order memory o = start(Escrow.Status.Holding);
        dispute(o);
        timeout(o);
        ended(o, Escrow.Status.Defaulted, -1_000_003, 975_003, 0, 25_000);
    }

    function test_settled() public each {
        Escrow.Order memory o = start(Escrow.Status.Dispatched);
        settle(o, 700_000);
        ended(o, Escrow.Status.Settled, -699_797, 682_303, 0, 17_494);
    }

    function test_settled_in_dispute() public each {
        Escrow.Order memory o = start(Escrow.Status.Disputed);
        settle(o, 203);
        ended(o, Escrow.Status.Settled, 0, 0, 0, 0);
    }

    function test_deposits_settled() public each {
        Escrow.Order memory o = start(Escrow.Status.Holding);
        settle(o, 1_000_003 + 204);
        ended(o, Escrow.Status.Settled, -1_000_004, 975_004, 0, 25_000);
    }

    function test_conceded_in_dispute() public each {
        Escrow.Order memory o = start(Escrow.Status.Disputed);
        release(o, type(uint104).max);
        same(escrow.held(o), 504, "held");
        timeout(o);
        ended(o, Escrow.Status.Defaulted, -1_000_003, 975_003, 0, 25_000);
    }

    function test_price_refunded_in_dispute() public each {
        Escrow.Order memory o = start(Escrow.Status.Disputed);
        refund(o, type(uint104).max);
        same(escrow.held(o), 504, "held");
        rule(o, 0);
        // The arbiter gave the buyer the seller's deposit, less 5 % of what was left: 25.
        ended(o, Escrow.Status.Ruled, 178, -203, 25, 0);
    }

    function test_buyer_deposit_given_back_early() public each {
        Escrow.Order memory o = prepare();
        o.sellerDeposit = 0;
        reach(o, Escrow.Status.Holding);
        refund(o, 1);
        same(escrow.held(o), 300, "held");
        refund(o, type(uint104).max);
        ended(o, Escrow.Status.Released, -1_000_003, 975_003, 0, 25_000);
    }

    function test_seller_deposit_given_back_early() public each {
        Escrow.Order memory o = prepare();
        o.buyerDeposit = 0;
        reach(o, Escrow.Status.Holding);
        release(o, AMOUNT + 201);
        same(escrow.held(o), 2, "held");
        timeout(o);
        ended(o, Escrow.Status.Released, -1_000_003, 975_003, 0, 25_000);
    }

    function test_all_conceded_in_dispute() public each {
        Escrow.Order memory o = prepare();
        o.buyerDeposit = 0;
        reach(o, Escrow.Status.Disputed);
        release(o, type(uint104).max);
        ended(o, Escrow.Status.Released, -1_000_003, 975_003, 0, 25_000);
    }

    function test_all_refunded_in_dispute() public each {
        Escrow.Order memory o = prepare();
        o.sellerDeposit = 0;
        reach(o, Escrow.Status.Disputed);
        refund(o, type(uint104).max);
        ended(o, Escrow.Status.Refunded, 0, 0, 0, 0);
    }

    function test_no_arbiter() public each {
        Escrow.Order memory o = prepare();
        o.arbiter = address(0);
        o.arbiterFeeBps = 0;
        reach(o, Escrow.Status.Disputed);
        timeout(o);
        ended(o, Escrow.Status.Defaulted, -333_300, 324_968, 0, 8_332);
    }

    function test_revoked() public each {
        Escrow.Order memory o = prepare();
        vm.prank(seller);
        escrow.revoke(o);
        sameStatus(stateOf(o).status, Escrow.Status.Refunded);
        vm.expectRevert(abi.encodeWithSelector(Escrow.BadStatus.selector, Escrow.Status.Refunded));
        this.fundAs(buyer, o);
    }

    function test_acceptance_in_the_funding() public each {
        Escrow.Order memory o = prepare();
        o.sellerDeposit = 0;
        uint256 due = currency == address(0) ? AMOUNT + BUYER_DEPOSIT : 0;
        bytes memory sig = sign(SELLER_KEY, escrow.orderId(o));
        vm.prank(buyer);
        escrow.fund{value: due}(o, sig);
        sameStatus(stateOf(o).status, Escrow.Status.Accepted);
        same(stateOf(o).deadline, block.timestamp + 2 days, "deadline");
    }

    function test_acceptance_is_dispatch() public each {
        Escrow.Order memory o = prepare();
        o.dispatchWindow = 0;
        o.notBefore = uint40(block.timestamp + 100 days);
        reach(o, Escrow.Status.Accepted);
        sameStatus(stateOf(o).status, Escrow.Status.Dispatched);
        same(stateOf(o).deadline, START + 103 days, "deadline");
        release(o, AMOUNT);
        same(stateOf(o).deadline, START + 104 days, "deadline");
    }

    function test_batch() public each {
        Escrow.Order[] memory orders = new Escrow.Order[](3);
        bytes[] memory sigs = new bytes[](3);
        uint256 due;
        prepare();
        for (uint256 i = 0; i < 3; i++) {
            orders[i] = makeOrder(i == 1 ? address(token) : address(0));
            due += i == 1 ? 0 : AMOUNT + BUYER_DEPOSIT;
        }
        vm.expectRevert(Escrow.BadOrder.selector);
        escrow.fundBatch(orders, new bytes[](2));
        vm.expectRevert(Escrow.BadOrder.selector);
        escrow.fundBatch(orders, new bytes[](4));
        vm.expectRevert(Escrow.BadValue.selector);
        vm.prank(buyer);
        escrow.fundBatch{value: due - 1}(orders, sigs);
        vm.prank(buyer);
        escrow.fundBatch{value: due}(orders, sigs);
        for (uint256 i = 0; i < 3; i++) {
            same(escrow.held(orders[i]), AMOUNT + BUYER_DEPOSIT, "held");
        }
    }

    function test_the_clock_of_a_dispute() public {
        Escrow.Order memory o = makeOrder(address(0));
        reach(o, Escrow.Status.Dispatched);
        same(stateOf(o).deadline, block.timestamp + 3 days, "deadline");
        dispute(o);
        same(stateOf(o).deadline, block.timestamp + 5 days, "deadline");
        o = makeOrder(address(0));
        (o.arbiter, o.arbiterFeeBps, o.rulingWindow) = (address(0), 0, 0);
        reach(o, Escrow.Status.Dispatched);
        vm.prank(buyer);
        vm.expectRevert(Escrow.BadOrder.selector);
        escrow.dispute(o, buyer, "");
    }

    function test_more_time() public {
        Escrow.Order memory o = makeOrder(address(0));
        o.sellerDeposit = 0;
        reach(o, Escrow.Status.Dispatched);
        uint40 deadline = stateOf(o).deadline;
        vm.prank(seller);
        vm.expectRevert(Escrow.TooEarly.selector);
        escrow.extend(o, deadline, "");
        vm.prank(seller);
        vm.expectRevert(Escrow.TooLate.selector);
        escrow.extend(o, uint40(block.timestamp + 3650 days + 1), "");
        vm.prank(seller);
        escrow.extend(o, deadline + 1, "");
        same(stateOf(o).deadline, deadline + 1, "deadline");
        release(o, AMOUNT);
        vm.warp(block.timestamp + 1);
        timeout(o);
        same(stateOf(o).deadline, 0, "no deadline at the end");
    }

    function fundAs(address who, Escrow.Order calldata o) external {
        uint256 due = o.token == address(0) ? uint256(o.amount) + o.buyerDeposit : 0;
        vm.prank(who);
        escrow.fund{value: due}(o, "");
    }

    /// Runs a test once in native coin and once in a token.
    modifier each() {
        uint256 snapshot = vm.snapshotState();
        currency = address(0);
        _;
        vm.revertToState(snapshot);
        currency = address(token);
        _;
    }

    receive() external payable {}

    function prepare() private returns (Escrow.Order memory o) {
        vm.deal(address(this), 1e24);
        before = balances();
        return makeOrder(currency);
    }

    function start(Escrow.Status status) private returns (Escrow.Order memory o) {
        o = prepare();
        reach(o, status);
    }

    function balances() private view returns (uint256[4] memory) {
        return [
            balanceOf(currency, buyer),
            balanceOf(currency, seller),
            balanceOf(currency, arbiter),
            balanceOf(currency, market)
        ];
    }

    /// What each has more or less than before the order, and that nothing is left.
    function ended(
        Escrow.Order memory o,
        Escrow.Status status,
        int256 toBuyer,
        int256 toSeller,
        int256 toArbiter,
        int256 toMarket
    ) private view {
        sameStatus(stateOf(o).status, status);
        same(escrow.held(o), 0, "held");
        same(balanceOf(currency, address(escrow)), 0, "left in escrow");
        int256[4] memory expected = [toBuyer, toSeller, toArbiter, toMarket];
        string[4] memory names = ["buyer", "seller", "arbiter", "market"];
        uint256[4] memory afterwards = balances();
        for (uint256 i = 0; i < 4; i++) {
            same(afterwards[i], uint256(int256(before[i]) + expected[i]), names[i]);
        }
    }
}
